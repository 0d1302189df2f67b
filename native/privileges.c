#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * In the v1 hierarchies, where nobody can be born into a cgroup. By `tasks` and 0, a thread that moves itself: since Linux 5.16 such a move,
 * and no other, waits for no grace period.
 */
void join_cgroups(const int *cgroups, int count)
{
	for (int i = 0; i < count; i++) {
		int tasks = openat(cgroups[i], "tasks", O_WRONLY | O_CLOEXEC);
		check("cgroup", tasks >= 0, "open(tasks)");
		check("cgroup", write(tasks, "0", 1) == 1, "write(tasks)");
		close(tasks);
	}
}

void join_namespaces(const struct request *request)
{
	if (request->namespaces != 0)
		check("setns", setns(request->pidfd, (int)request->namespaces) == 0, "setns(pidfd, 0x%jx)", (uintmax_t)request->namespaces);
}

static void drop_bounding(uint64_t keep)
{
	for (int cap = 0; cap < 64; cap++) {
		if (keep >> cap & 1 || !guarded(DROP_BOUNDING))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		check("capabilities", errno == EINVAL, "prctl(PR_CAPBSET_DROP, %d)", cap);
		return; /* the first that this kernel does not know */
	}
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
	check("user", !guarded(DROP_GROUPS) || setgroups((size_t)request->ngroups, request->groups) == 0, "setgroups");
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

/* Irrevocable: from here this process has what the session has, and nothing of it can come back. */
void drop_the_rest(const struct request *request)
{
	if (guarded(FILTERS))
		install_filters(request);
	if (guarded(DROP_CAPABILITIES))
		set_capabilities(request->permitted, request->ambient);
}
