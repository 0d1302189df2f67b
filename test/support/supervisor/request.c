/* Says each field of the request on descriptor 3, by its name, as the program reads it. */
#define _GNU_SOURCE
#include "../../../native/enter.h"
#include <inttypes.h>
#include <stdio.h>

#define WORD(name) printf("%s %" PRIu64 "\n", #name, (uint64_t)request.name)
#define FD(name) printf("%s %d\n", #name, request.name)
#define FDS(name, most) for (int i = 0; i < (most); i++) if (request.name[i] != NO_FD) printf("%s %d\n", #name, request.name[i])

int main(void)
{
	static struct request request;
	read_request(&request, 4);
	WORD(namespaces); WORD(device); WORD(bounding); WORD(permitted); WORD(ambient);
	for (uint32_t i = 0; i < request.nrlimits; i++)
		printf("rlimits %" PRIu64 ":%" PRIu64 ":%" PRIu64 "\n", request.rlimits[i].resource, request.rlimits[i].soft, request.rlimits[i].hard);
	FD(gate); FD(pidfd); FD(toolbox); FD(devpts); FD(ring); FD(wake); FD(poke); FD(output); FD(errors); FD(input); FD(cgroup); FD(hostcgroup);
	FD(proc); FD(home);
	FDS(homes, MAX_CGROUPS); FDS(joins, MAX_CGROUPS); FDS(filters, MAX_FILTERS);
	WORD(userns); WORD(tty); WORD(nonewprivs); WORD(created); WORD(createddev); WORD(uid); WORD(gid);
	for (uint32_t i = 0; i < request.ngroups; i++)
		printf("groups %u\n", request.groups[i]);
	printf("cwd %s\nlabel %s\nlabelfile %s\n", request.cwd, request.label, request.labelfile);
	return 0;
}
