/*
 * The only program of a test container.
 *   workload          waits until SIGTERM
 *   workload spy FILE tries, until SIGTERM, to get at every process that is not its own; writes to FILE what it got
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void quit(int signal)
{
	(void)signal;
	_exit(0);
}

static int can_open(const char *pid, const char *what, int flags)
{
	char path[300];
	snprintf(path, sizeof path, "/proc/%s/%s", pid, what);
	int fd = open(path, flags);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void spy_on(const char *pid, FILE *out)
{
	static const char *const things[] = { "environ", "mem", "fd/0", "exe", "root/." };
	for (size_t i = 0; i < sizeof things / sizeof *things; i++)
		if (can_open(pid, things[i], O_RDONLY))
			fprintf(out, "%s %s\n", pid, things[i]);
	if (ptrace(PTRACE_SEIZE, atoi(pid), 0, 0) == 0) {
		fprintf(out, "%s ptrace\n", pid);
		ptrace(PTRACE_DETACH, atoi(pid), 0, 0);
	}
	fprintf(out, "%s seen\n", pid);
	fflush(out);
}

int main(int argc, char **argv)
{
	signal(SIGTERM, quit);
	if (argc < 3)
		for (;;)
			pause();
	FILE *out = fopen(argv[2], "w");
	char self[16];
	snprintf(self, sizeof self, "%d", getpid());
	for (;;) {
		DIR *proc = opendir("/proc");
		for (struct dirent *entry; proc && (entry = readdir(proc));)
			if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && strcmp(entry->d_name, self) != 0)
				spy_on(entry->d_name, out);
		closedir(proc);
		usleep(200);
	}
}
