/*
 *   filtered FILE PROGRAM ARGUMENT…   runs the program under the seccomp filter in FILE, as a container runtime starts a container's
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static struct sock_filter code[4096];
	int file = argc > 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	ssize_t length = read(file, code, sizeof code);
	if (length <= 0) {
		fputs("filtered: no filter\n", stderr);
		return 125;
	}
	struct sock_fprog program = { .len = length / sizeof *code, .filter = code };
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		perror("filtered: seccomp");
		return 125;
	}
	execv(argv[2], argv + 2);
	perror("filtered: exec");
	return 126;
}
