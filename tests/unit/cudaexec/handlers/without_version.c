/* A shared object that was not built with cudaexec.h. */
int a_function(void);

int a_function(void)
{
	return 1;
}
