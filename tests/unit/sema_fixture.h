/* What a test of sema has: a library, a text in place of a file, and a sink for reports. */
#ifndef DEPLOYC_SEMA_FIXTURE_H
#define DEPLOYC_SEMA_FIXTURE_H
#include <stdlib.h>
#include "../../sema/sema.h"

#endif
