/* A server that stays as long as its client does. */
#include <unistd.h>

int
main(void)
{
	char b[64];

	if (write(1, "hello\n", 6) != 6)
		return 1;
	while (read(0, b, sizeof b) > 0)
		;
	return 0;
}
