/*
 *   calls       says how the kernel answers calls that a filter may refuse: a line each, `name ERRNO`; `open` for anything but
 *               EPERM, ENOSYS and what a test's filter gives. Then the fields of /proc/self/status that tell of confinement.
 *   calls hog   takes memory until it is ended
 *   calls bomb  forks until nobody can, and holds what it got
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void answer(const char *name, long result)
{
	int error = result < 0 ? errno : 0;
	int filtered = error == EPERM || error == ENOSYS || error == EACCES || error == EAFNOSUPPORT;
	printf("%s %s\n", name, filtered ? strerrorname_np(error) : "open");
}

/* Arguments that change nothing where a call is let through. */
static void ask(void)
{
	static char none[4096];
	struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_TASK_CLOCK,
		.exclude_kernel = 1, .exclude_hv = 1 };
	answer("getpid", syscall(SYS_getpid));
	answer("keyctl", syscall(SYS_keyctl, 99, 0, 0, 0, 0));
	answer("io_uring_setup", syscall(SYS_io_uring_setup, 0, NULL));
	answer("kexec_load", syscall(SYS_kexec_load, 0, 999, NULL, 0xffff));
	answer("init_module", syscall(SYS_init_module, NULL, 0, NULL));
	answer("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
	answer("userfaultfd", syscall(SYS_userfaultfd, 0xffff));
	answer("mount", syscall(SYS_mount, none, "/no/such/place", none, 0, NULL));
	answer("unshare", syscall(SYS_unshare, 0));
	answer("setns", syscall(SYS_setns, -1, 0));
	answer("bpf", syscall(SYS_bpf, 9999, NULL, 0));
	answer("chroot", syscall(SYS_chroot, "/no/such/place"));
	answer("clone3", syscall(SYS_clone3, NULL, 0));
	answer("clone(CLONE_NEWUSER)", syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS, 0, 0, 0, 0));
	answer("ptrace", syscall(SYS_ptrace, PTRACE_PEEKDATA, 999999999, 0, 0));
	answer("perf_event_open", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
	answer("socket(AF_VSOCK)", socket(AF_VSOCK, SOCK_STREAM, 0));
	answer("socket(AF_NETLINK)", socket(AF_NETLINK, SOCK_RAW, 0));
	answer("socket(AF_UNIX)", socket(AF_UNIX, SOCK_STREAM, 0));
	answer("newest", syscall(2000));
	printf("Uid %d\n", geteuid());
	fflush(stdout);
	FILE *status = fopen("/proc/self/status", "r");
	for (char line[256], name[64], value[64]; status && fgets(line, sizeof line, status);)
		if (sscanf(line, "%63[^:]: %63s", name, value) == 2 &&
		    (strncmp(name, "Seccomp", 7) == 0 || strcmp(name, "NoNewPrivs") == 0))
			printf("%s %s\n", name, value);
}

static void hog(void)
{
	for (int taken = 64;; taken += 64) {
		char *block = malloc(64 << 20);
		if (!block)
			exit(3);
		for (size_t at = 0; at < 64 << 20; at += 4096)
			block[at] = 1;
		printf("reached %d MiB\n", taken);
		fflush(stdout);
	}
}

static void bomb(void)
{
	for (;;)
		if (fork() < 0)
			usleep(1000);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		ask();
	else if (strcmp(argv[1], "hog") == 0)
		hog();
	else
		bomb();
	return 0;
}
