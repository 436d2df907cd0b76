/* dr_main: the launcher of the generated program. In a file of its own, so that tests can link the rest without it. */
#include "runtime.h"

int dr_main(int argc, char **argv)
{
	const struct generated g = {dr_blob, &dr_image, dr_step_table};
	return launcher_main(argc, argv, &g);
}
