#include "enter.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static struct sock_filter instructions[MAX_FILTERS][BPF_MAXINSNS];
static struct sock_fprog programs[MAX_FILTERS];

/*
 * In the v1 hierarchies, where nobody can be born into a cgroup. By `tasks` and 0, a thread that moves itself: since Linux 5.16 such a move,
 * and no other, waits for no grace period.
 */
void join_cgroups(const int *cgroups)
{
	for (int i = 0; i < MAX_CGROUPS && cgroups[i] != NO_FD; i++)
		check("cgroup", write_to(cgroups[i], "tasks", "0"), "write(tasks)");
}

void join_namespaces(const struct request *request)
{
	if (request->namespaces != 0)
		check("setns", setns(request->pidfd, (int)request->namespaces) == 0, "setns(pidfd, 0x%jx)", (uintmax_t)request->namespaces);
}

/* Up to the first that this kernel does not know. */
static void drop_bounding(uint64_t keep)
{
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(keep >> cap & 1) && guarded(DROP_BOUNDING))
			check("capabilities", prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0, "prctl(PR_CAPBSET_DROP, %d)", cap);
}

static void set_capabilities(uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	for (int half = 0; half < 2; half++) {
		data[half].effective = data[half].permitted = (uint32_t)(permitted >> (32 * half));
		data[half].inheritable = (uint32_t)(inheritable >> (32 * half));
	}
	check("capabilities", syscall(SYS_capset, &header, data) == 0, "capset");
}

static void raise_ambient(uint64_t ambient)
{
	check("capabilities", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, "prctl(PR_CAP_AMBIENT_CLEAR_ALL)");
	for (int cap = 0; cap < 64; cap++)
		if (ambient >> cap & 1)
			check("capabilities", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0,
			      "prctl(PR_CAP_AMBIENT_RAISE, %d)", cap);
}

#define SYS_ADMIN (1ULL << CAP_SYS_ADMIN)

/*
 * Before anything that the container can see: user namespace, bounding set, ids, capabilities, no_new_privs. CAP_SYS_ADMIN is kept
 * for the seccomp filters alone, whatever else follows.
 */
void drop_privileges(const struct request *request)
{
	if (request->userns)
		check("setns", setns(request->pidfd, CLONE_NEWUSER) == 0, "setns(pidfd, user namespace)");
	drop_bounding(request->bounding);
	check("user", !guarded(DROP_GROUPS) || setgroups(request->ngroups, request->groups) == 0, "setgroups");
	check("user", prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, "prctl(PR_SET_KEEPCAPS)");
	check("user", setresgid(request->gid, request->gid, request->gid) == 0, "setresgid(%u)", request->gid);
	check("user", setresuid(request->uid, request->uid, request->uid) == 0, "setresuid(%u)", request->uid);
	/* The user change has made us dumpable as the host's setting says: not before exec. */
	prctl(PR_SET_DUMPABLE, !guarded(UNDUMPABLE), 0, 0, 0);
	set_capabilities(request->permitted | SYS_ADMIN, request->ambient);
	raise_ambient(request->ambient);
	if (request->nonewprivs)
		check("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "prctl(PR_SET_NO_NEW_PRIVS)");
}

/* While the descriptors are still open. */
void load_filters(const struct request *request)
{
	for (int i = 0; i < MAX_FILTERS && request->filters[i] != NO_FD; i++) {
		ssize_t length = pread(request->filters[i], instructions[i], sizeof instructions[i], 0);
		check("seccomp", length > 0 && length % (ssize_t)sizeof **instructions == 0, "reading filter %d", i);
		programs[i] = (struct sock_fprog){ .len = (unsigned short)(length / (ssize_t)sizeof **instructions), .filter = instructions[i] };
	}
}

void limit_resources(const struct request *request)
{
	for (uint32_t i = 0; i < request->nrlimits; i++) {
		struct rlimit limit = { .rlim_cur = request->rlimits[i].soft, .rlim_max = request->rlimits[i].hard };
		int resource = (int)request->rlimits[i].resource;
		check("rlimit", setrlimit(resource, &limit) == 0, "setrlimit(%d)", resource);
	}
}

/*
 * By the host's /proc, whose descriptor is older than the container's. Opened and written only now: the kernel takes the label from a
 * descriptor of the very same credentials only, and a label may forbid what stood between.
 */
void take_label(const struct request *request)
{
	if (*request->label)
		check("label", write_to(request->proc, request->labelfile, request->label), "write(/proc/%s, %s)", request->labelfile, request->label);
}

/* Needs CAP_SYS_ADMIN, which is the last to go, or no_new_privs: so setuid programs of the container may go on to work. */
static void install_filters(void)
{
	/* As container runtimes do: the mitigation for filtered processes costs much, and is against another danger. */
	for (int i = 0; i < MAX_FILTERS && programs[i].len > 0; i++)
		check("seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &programs[i]) == 0,
		      "seccomp(filter %d, %u instructions)", i, programs[i].len);
}

/* Irrevocable: from here this process has what the session has, and nothing of it can come back. */
void drop_the_rest(const struct request *request)
{
	if (guarded(FILTERS))
		install_filters();
	if (guarded(DROP_CAPABILITIES))
		set_capabilities(request->permitted, request->ambient);
}
