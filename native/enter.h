/* crashcart-enter: what its parts say to each other. docs/enter.md tells the order of steps and why. */
#ifndef CRASHCART_ENTER_H
#define CRASHCART_ENTER_H

#define _GNU_SOURCE /* so this comes before any other header */

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#define MAX_GROUPS 256
#define MAX_CGROUPS 16
#define MAX_FILTERS 2
#define MAX_RLIMITS 16
#define NO_FD (-1)

/* The agent puts the pipe for its lines here, whatever else it hands over; and we the gate there, before all behind it is closed. */
#define STATUS_FD 3
#define GATE_FD 4

/*
 * `make -C native WITHOUT=DROP_CAPABILITIES …` builds a program with one defence off, for the attack suite: it has to notice. Otherwise
 * nothing of this is left after compilation.
 */
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif
enum defence {
	NOTHING, UNDUMPABLE, LATE_FORK, NO_SYMLINKS, RECHECK, CLOSE_DESCRIPTORS, PRIVATE_MOUNTS, SLAVE_MOUNTS, OWN_FILES, FILTERS, GATE,
	DROP_CAPABILITIES, DROP_BOUNDING, DROP_GROUPS, OWN_CGROUP, DEATH_SIGNAL, OWN_VOICE,
};
#define guarded(what) (WITHOUT != (what))

/*
 * Everything the agent says, as src/node-agent/session/entry-request.ts writes it. Descriptors are inherited, NO_FD when not given; a list of
 * them ends with the first that is not.
 */
struct request {
	uint64_t namespaces; /* CLONE_NEW* flags to join, without CLONE_NEWUSER */
	uint64_t device;     /* st_dev of the toolbox that an agent has put into the container: remove, where no descriptor of the mount is left; run, to know it */
	uint64_t bounding;
	uint64_t permitted;
	uint64_t ambient;
	struct { uint64_t resource, soft, hard; } rlimits[MAX_RLIMITS];
	int gate;        /* pipe: one byte lets the command start, end of file ends it */
	int pidfd;       /* the container's first process */
	int toolbox;     /* detached clone of the toolbox; NO_FD: it stands in the container already */
	int devpts;      /* detached devpts instance that the session's terminal is of */
	int ring;        /* session.h; its maker holds it too */
	int wake;        /* pipe: a byte tells the agent to look into it */
	int poke;        /* pipe: a byte tells the supervisor to */
	int output;      /* from the command's standard output and error, and to its input: pipes, or twice the PTY's master. None of them waits (O_NONBLOCK) */
	int errors;
	int input;
	int cgroup;      /* directory of the session's cgroup in the v2 hierarchy */
	int hostcgroup;  /* the host's cgroup namespace, when the agent has one of its own */
	int proc;        /* the host's, when there is a label */
	int home;        /* of the supervisors, outside of the agent's: in the v2 hierarchy */
	int homes[MAX_CGROUPS]; /* and in v1 hierarchies */
	int joins[MAX_CGROUPS]; /* the session's cgroups in v1 hierarchies */
	int filters[MAX_FILTERS]; /* seccomp programs, struct sock_filter[] */
	uint32_t userns, tty, nonewprivs; /* whether there is one */
	uint32_t created, createddev; /* remove: the directory was made by us, and so was /dev */
	uint32_t uid, gid;
	uint32_t nrlimits, ngroups;
	uint32_t groups[MAX_GROUPS];
	char cwd[4096];
	char label[4096];   /* of the security module, empty: none */
	char labelfile[60]; /* below /proc: where it is written. Of a size that leaves no padding behind it */
};

/* agent.c: what it says, and what it is told, in lines on the status pipe. */
void read_request(struct request *request, int fd);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The last one: `error STEP ERRNO DETAIL`. */
#define fail(step, error, format, ...) do { say("error %s %d " format, step, error, ##__VA_ARGS__); _exit(FAILED); } while (0)
#define check(step, condition, ...) do { if (!(condition)) fail(step, errno, __VA_ARGS__); } while (0)
#define FAILED 125
/* The whole content of one of the kernel's files; false and errno. */
bool write_to(int directory, const char *name, const char *text);

/* paths.c: every name is looked up from a descriptor, no link is ever followed. */
int open_beneath(int directory, const char *name, uint64_t flags);
enum change { MAKE, REMOVE };
bool change_directory(int directory, const char *name, enum change change);
bool is_empty(int directory);
int cover(int directory, const char *const *without);

/* place.c */
void place_in_session(const struct request *request);
void place_in_container(const struct request *request);
void remove_from_container(const struct request *request);

/* privileges.c */
void join_cgroups(const int *cgroups);
void join_namespaces(const struct request *request);
void load_filters(const struct request *request);
void limit_resources(const struct request *request);
void drop_privileges(const struct request *request);
void take_label(const struct request *request);
void drop_the_rest(const struct request *request);

/* command.c */
void run_command(const struct request *request, char **command) __attribute__((noreturn));

/* pump.c: between the command's streams and the session's memory */
extern struct session *session;
void open_session(const struct request *request);
void tell(uint32_t flags);
#define PUMP_EVENTS 3
void pump_events(struct pollfd *into);
void pump(void);
uint64_t nanoseconds(int clock);

/* supervise.c */
void supervise(const struct request *request, pid_t inner) __attribute__((noreturn));

#endif
