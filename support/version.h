/* The version of deployc. */
#ifndef DEPLOYC_VERSION_H
#define DEPLOYC_VERSION_H
#define DEPLOYC_VERSION "0.1.0"
#endif
