#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sock_filter instructions[MAX_FILTERS][BPF_MAXINSNS];
static unsigned short lengths[MAX_FILTERS];
static int host_proc = NO_FD;

/* While the descriptors are still open and /proc is still the host's. */
void load_confinement(const struct request *request)
{
	for (int i = 0; i < request->nfilters; i++) {
		ssize_t length = pread(request->filters[i], instructions[i], sizeof instructions[i], 0);
		check("seccomp", length > 0 && length % (ssize_t)sizeof(struct sock_filter) == 0, "reading filter %d", i);
		lengths[i] = (unsigned short)(length / (ssize_t)sizeof(struct sock_filter));
	}
	if (*request->label)
		check("label", (host_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0, "open(/proc)");
}

/* Lowering needs no right; what would raise a hard limit beyond ours becomes ours. */
void limit_resources(const struct request *request)
{
	for (int i = 0; i < request->nrlimits; i++) {
		const struct limit *limit = &request->rlimits[i];
		struct rlimit now, wanted = { .rlim_cur = limit->soft, .rlim_max = limit->hard };
		check("rlimit", getrlimit((__rlimit_resource_t)limit->resource, &now) == 0, "getrlimit(%u)", limit->resource);
		if (now.rlim_max < wanted.rlim_max)
			wanted.rlim_max = now.rlim_max;
		if (wanted.rlim_max < wanted.rlim_cur)
			wanted.rlim_cur = wanted.rlim_max;
		check("rlimit", setrlimit((__rlimit_resource_t)limit->resource, &wanted) == 0, "setrlimit(%u)", limit->resource);
	}
}

/*
 * By the host's /proc, opened before the container's was there. Opened and written only now: the kernel takes the label from a
 * descriptor of the very same credentials only, and a label may forbid what stood between.
 */
void take_label(const struct request *request)
{
	if (!*request->label)
		return;
	int attribute = openat(host_proc, request->labelfile, O_WRONLY | O_CLOEXEC);
	check("label", attribute >= 0, "open(/proc/%s)", request->labelfile);
	ssize_t length = (ssize_t)strlen(request->label);
	check("label", write(attribute, request->label, (size_t)length) == length, "write(%s)", request->label);
	close(attribute);
	close(host_proc);
}

/* Needs CAP_SYS_ADMIN, which is the last to go, or no_new_privs: so setuid programs of the container may go on to work. */
void install_filters(const struct request *request)
{
	for (int i = 0; i < request->nfilters; i++) {
		struct sock_fprog program = { .len = lengths[i], .filter = instructions[i] };
		/* As container runtimes do: the mitigation for filtered processes costs much, and is against another danger. */
		check("seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0,
		      "seccomp(filter %d, %u instructions)", i, lengths[i]);
	}
}
