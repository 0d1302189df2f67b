/*
 * The hostile program of a test container. It writes a line to FILE for whatever it gets that it should not:
 * `hit WHAT DETAIL`. At SIGTERM it ends; `seen N` tells how many processes it had before it.
 *
 *   watch FILE     every process that appears: trace it, open its memory, environment, descriptors, root and program, write to the latter
 *   speak FILE     says into every pipe and terminal of every process that appears what the agent might take for its own program's words
 *   keys FILE      opens every terminal that it could reach by a name, its own devpts instance's too, and reads, writes and types there
 *   exchange FILE  /dev/crashcart is now a directory and now a link to a directory elsewhere, to a magic link or to the directory's parent
 *   swap FILE      /dev/crashcart and another directory change places as fast as they can
 *   shuffle FILE   /dev/crashcart is made, moved to /tmp/aim/N and removed all the time
 *   kill FILE      stops or kills every process that appears
 *   exhaust FILE   takes all pids, inotify instances and files that it can have
 *   fuse DIRECTORY a file system there that takes every question and never answers
 *   mounts N       N mounts
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *out;
static volatile sig_atomic_t over;
static long seen;

static void end(int signal)
{
	(void)signal;
	over = 1;
}

static void hit(const char *what, const char *detail)
{
	fprintf(out, "hit %s %s\n", what, detail);
	fflush(out);
}

static uint64_t field(const char *pid, const char *name)
{
	char path[64], line[256];
	uint64_t value = 0;
	size_t length = strlen(name);
	snprintf(path, sizeof path, "/proc/%s/status", pid);
	FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof line, status))
		if (strncmp(line, name, length) == 0)
			value = strtoull(line + length, NULL, 16);
	if (status)
		fclose(status);
	return value;
}

static uint64_t own_capabilities;

/* More than this program has itself: to get at such a process is to get what it has. */
static int stronger(const char *pid)
{
	return (field(pid, "CapPrm:") & ~own_capabilities) != 0;
}

static void try_to_write(const char *pid, const char *exe)
{
	char path[64], link[300];
	snprintf(path, sizeof path, "/proc/%s/exe", pid);
	ssize_t length = readlink(path, link, sizeof link - 1);
	if (length <= 0)
		return;
	link[length] = '\0';
	int ours = strstr(link, "crashcart-enter") != NULL;
	if (ours)
		hit("exe-of-crashcart-enter", exe);
	int held = open(path, O_RDONLY | O_CLOEXEC);
	for (int try = 0; held >= 0 && try < (ours ? 200 : 1); try++) {
		char again[64];
		snprintf(again, sizeof again, "/proc/self/fd/%d", held);
		int writable = open(again, O_WRONLY | O_CLOEXEC);
		if (writable >= 0 && pwrite(writable, "X", 1, 0) == 1)
			hit("wrote-exe", link);
		if (writable >= 0)
			close(writable);
		if (ours)
			usleep(200);
	}
	if (held >= 0)
		close(held);
}

/* A pipe, a terminal, /dev/null: what a command may have. All else leads somewhere. */
static int harmless(const char *link)
{
	return strncmp(link, "pipe:", 5) == 0 || strncmp(link, "/dev/pts/", 9) == 0 || strcmp(link, "/dev/null") == 0 ||
	       strcmp(link, "/0") == 0 || strcmp(link, "/dev/crashcart/bin") == 0;
}

static void look_at_descriptors(const char *pid)
{
	char path[300], link[300], detail[700];
	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	DIR *fds = opendir(path);
	for (struct dirent *entry; fds && (entry = readdir(fds));) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
		ssize_t length = readlink(path, link, sizeof link - 1);
		if (length <= 0)
			continue;
		link[length] = '\0';
		snprintf(detail, sizeof detail, "%s -> %s", entry->d_name, link);
		if (!harmless(link) && stronger(pid))
			hit("descriptor-of-stronger", detail);
		else if (strstr(link, "pidfd") || strstr(link, "memfd") || strstr(link, "crashcart-it") || strstr(link, "cgroup"))
			hit("descriptor", detail);
	}
	if (fds)
		closedir(fds);
	int terminal = -1;
	snprintf(path, sizeof path, "/proc/%s/fd/0", pid);
	if (stronger(pid) && (terminal = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) >= 0) {
		char keys[256];
		if (read(terminal, keys, sizeof keys) > 0)
			hit("keys", pid);
		if (ioctl(terminal, TIOCSTI, "x") == 0)
			hit("typed", pid);
		hit("terminal", pid);
		close(terminal);
	}
}

/* Stopped, so that it can be looked at without a race. */
static int seize(const char *pid)
{
	if (ptrace(PTRACE_SEIZE, atoi(pid), 0, 0) < 0)
		return 0;
	ptrace(PTRACE_INTERRUPT, atoi(pid), 0, 0);
	for (int wait = 0; wait < 500 && waitpid(atoi(pid), NULL, __WALL | WNOHANG) == 0; wait++)
		usleep(100);
	return 1;
}

/* Or the session would wait for ever. */
static void let_go(const char *pid, int seized)
{
	if (seized)
		ptrace(PTRACE_DETACH, atoi(pid), 0, 0);
}

static void get_at(const char *pid)
{
	static const char *const things[] = { "environ", "mem", "root/.", "cwd/.", "maps", "auxv" };
	char path[64];
	seen++;
	int seized = seize(pid);
	if (seized && stronger(pid))
		hit("traced-stronger", pid);
	for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
		snprintf(path, sizeof path, "/proc/%s/%s", pid, things[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		char byte;
		/* Once more behind it: it may have been a weaker process of the same number. */
		if (fd >= 0 && stronger(pid) && (strchr(things[i], '/') || read(fd, &byte, 1) == 1 || errno == EIO))
			hit("opened-of-stronger", path);
		if (fd >= 0)
			close(fd);
	}
	look_at_descriptors(pid);
	let_go(pid, seized);
	try_to_write(pid, pid);
}

#define WORDS "error occupied 17 said-by-the-container\x1b]52;c;eA==\x07\nwarning said-by-the-container\nstarted 1\n"

/* Whoever may trace a process may also write into its pipes, fill them, and keep them open for ever. */
static void speak_for(const char *pid)
{
	char path[300], link[300];
	struct stat pipe;
	seen++;
	int seized = seize(pid);
	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof path, "/proc/%s/fd/%d", pid, fd);
		ssize_t length = readlink(path, link, sizeof link - 1);
		if (length <= 0)
			continue;
		link[length] = '\0';
		int mine = fd <= 2 && !stronger(pid); /* the streams of one that is as weak as ourselves */
		int opened = mine ? -1 : open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (opened < 0)
			continue;
		if (fd <= 2)
			hit("spoke-in-stream", link);
		while (fstat(opened, &pipe) == 0 && S_ISFIFO(pipe.st_mode) && write(opened, WORDS, sizeof WORDS - 1) > 0)
			;
	}
	let_go(pid, seized);
}

/* No terminal has a name here but the session's own, which is elsewhere. */
static void read_keys(const char *directory)
{
	char path[64], keys[256];
	for (int number = 0; number < 16; number++) {
		snprintf(path, sizeof path, "%s/%d", directory, number);
		int terminal = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (terminal < 0)
			continue;
		hit("terminal", path);
		if (read(terminal, keys, sizeof keys) > 0)
			hit("keys", path);
		if (write(terminal, WORDS, sizeof WORDS - 1) > 0 || ioctl(terminal, TIOCSTI, "x") == 0)
			hit("typed", path);
		close(terminal);
	}
}

static void for_each_other(void (*act)(const char *))
{
	char self[16];
	snprintf(self, sizeof self, "%d", getpid());
	DIR *proc = opendir("/proc");
	for (struct dirent *entry; proc && (entry = readdir(proc));)
		if (isdigit((unsigned char)entry->d_name[0]) && strcmp(entry->d_name, self) != 0)
			act(entry->d_name);
	if (proc)
		closedir(proc);
}

static void end_it(const char *pid)
{
	seen++;
	kill(atoi(pid), seen % 2 ? SIGSTOP : SIGKILL);
}

#define POINT "/dev/crashcart"
#define OTHER "/dev/other"

/* The toolbox has this; nothing of the container's own does. */
static void look_for_toolbox(const char *where)
{
	char path[300];
	struct stat found;
	snprintf(path, sizeof path, "%s/bin/bash", where);
	if (stat(path, &found) == 0)
		hit("toolbox-at", where);
}

static void exchange(long round)
{
	/* One in /dev itself, where nothing but the link tells it from what it should be. */
	static const char *const aims[] = { "aim", "/tmp/aim", "/proc/self/root/tmp/aim", "/proc/1/cwd/tmp/aim", "../tmp/aim", "." };
	mkdir("/dev/aim", 0755);
	mkdir(POINT, 0755);
	unlink(OTHER);
	if (symlink(aims[round % 6], OTHER) == 0)
		syscall(SYS_renameat2, AT_FDCWD, POINT, AT_FDCWD, OTHER, 2 /* RENAME_EXCHANGE */);
	for (int i = 0; i < 20; i++)
		sched_yield();
	look_for_toolbox("/tmp/aim");
	look_for_toolbox("/dev/aim");
	syscall(SYS_renameat2, AT_FDCWD, POINT, AT_FDCWD, OTHER, 2);
	rmdir(POINT);
	unlink(POINT);
	rmdir(OTHER);
}

static void swap(void)
{
	mkdir(POINT, 0755);
	mkdir(OTHER, 0755);
	for (int i = 0; i < 1000; i++)
		syscall(SYS_renameat2, AT_FDCWD, POINT, AT_FDCWD, OTHER, 2);
}

static void shuffle(long round)
{
	char away[64];
	snprintf(away, sizeof away, "/dev/aim%ld", round % 8);
	mkdir(POINT, 0755);
	for (int i = 0; i < 10; i++)
		sched_yield();
	if (rename(POINT, away) == 0) {
		usleep(3000);
		look_for_toolbox(away);
		rmdir(away);
	}
}

static void exhaust(void)
{
	while (inotify_init1(IN_CLOEXEC) >= 0)
		;
	for (pid_t child = 0; child >= 0;)
		if ((child = fork()) == 0)
			for (;;)
				pause();
	fprintf(out, "exhausted %s\n", strerrorname_np(errno));
	fflush(out);
}

static int fuse_device = -1;

static int fuse(const char *directory)
{
	char options[128];
	mknod("/dev/fuse", S_IFCHR | 0666, makedev(10, 229));
	mkdir(directory, 0755);
	fuse_device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse_device);
	return mount("hang", directory, "fuse", 0, options);
}

/* Greets the kernel, and takes what it asks then without an answer: whoever has asked is beyond any signal. */
static void swallow(void)
{
	static char question[1 << 20];
	ssize_t length = read(fuse_device, question, sizeof question);
	const struct fuse_in_header *in = (const struct fuse_in_header *)question;
	if (length < (ssize_t)sizeof *in || in->opcode != FUSE_INIT)
		return;
	struct { struct fuse_out_header header; struct fuse_init_out init; } answer = {
		.header = { .len = sizeof answer, .unique = in->unique },
		.init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096 },
	};
	if (write(fuse_device, &answer, sizeof answer) < 0)
		hit("fuse", strerrorname_np(errno));
}

static int mount_many(long count)
{
	char path[64];
	long each = 300, made = 0;
	mkdir("/tmp/m", 0755);
	if (mount("m", "/tmp/m", "tmpfs", 0, NULL) < 0 || mount(NULL, "/tmp/m", NULL, MS_PRIVATE, NULL) < 0)
		return -1;
	for (made = 1; made < each && made < count; made++) {
		snprintf(path, sizeof path, "/tmp/m/%ld", made);
		if (mkdir(path, 0755) < 0 || mount("/tmp/aim", path, NULL, MS_BIND, NULL) < 0)
			return -1;
	}
	/* The whole tree at once, each time in another place; what is left to do singly. */
	while (made < count) {
		snprintf(path, sizeof path, "/tmp/n%ld", made);
		long step = count - made >= each ? each : 1;
		if (mkdir(path, 0755) < 0 || mount(step > 1 ? "/tmp/m" : "/tmp/aim", path, NULL, MS_BIND | (step > 1 ? MS_REC : 0), NULL) < 0)
			return -1;
		made += step;
	}
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGTERM, end);
	if (argc < 3)
		return 2;
	out = fopen(strcmp(argv[1], "fuse") && strcmp(argv[1], "mounts") ? argv[2] : "/tmp/attack", "we");
	own_capabilities = field("self", "CapPrm:");
	mkdir("/tmp/aim", 0777);
	if (strcmp(argv[1], "fuse") == 0)
		fprintf(out, "ready %d\n", fuse(argv[2]) == 0 ? 0 : errno);
	else if (strcmp(argv[1], "mounts") == 0)
		fprintf(out, "ready %d\n", mount_many(atol(argv[2])) == 0 ? 0 : errno);
	else if (strcmp(argv[1], "exhaust") == 0)
		exhaust();
	else if (strcmp(argv[1], "keys") == 0)
		fprintf(out, "ready %d\n", mkdir("/tmp/pts", 0755) == 0 && mount("d", "/tmp/pts", "devpts", 0, "newinstance") == 0 ? 0 : errno);
	else
		fprintf(out, "ready 0\n");
	fflush(out);
	for (long round = 0; !over; round++) {
		if (strcmp(argv[1], "watch") == 0)
			for_each_other(get_at);
		else if (strcmp(argv[1], "kill") == 0)
			for_each_other(end_it);
		else if (strcmp(argv[1], "speak") == 0)
			for_each_other(speak_for);
		else if (strcmp(argv[1], "keys") == 0)
			read_keys(round % 2 ? "/dev/pts" : "/tmp/pts");
		else if (strcmp(argv[1], "swap") == 0)
			swap();
		else if (strcmp(argv[1], "fuse") == 0)
			swallow();
		else if (strcmp(argv[1], "exchange") == 0)
			exchange(round);
		else if (strcmp(argv[1], "shuffle") == 0)
			shuffle(round);
		else
			usleep(20000);
	}
	fprintf(out, "seen %ld\n", seen);
	fclose(out);
	return 0;
}
