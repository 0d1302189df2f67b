#include "enter.h"
#include "session.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#define CHUNK (64 * 1024)

struct session *session;
static int wake;
/* The command's standard output and error, channels 1 and 2, and its input; NO_FD when they have ended. */
static int sources[2], input;
static bool terminal;
static uint64_t oldest_run;

uint64_t nanoseconds(int clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void open_session(const struct request *request)
{
	struct stat memory;
	/* Behind the end of a file that is too short there is a signal, not memory. */
	check("memory", fstat(request->ring, &memory) == 0, "fstat(ring)");
	if (memory.st_size < (off_t)sizeof *session)
		fail("memory", EINVAL, "a ring of %jd bytes", (intmax_t)memory.st_size);
	session = mmap(NULL, sizeof *session, PROT_READ | PROT_WRITE, MAP_SHARED, request->ring, 0);
	check("memory", session != MAP_FAILED, "mmap(ring)");
	wake = request->wake;
	sources[0] = request->output;
	sources[1] = request->errors;
	input = request->input;
	terminal = request->tty;
}

void tell(uint32_t flags)
{
	store(session->told.flags, session->told.flags | flags);
	/* A full pipe holds news enough; an agent that is gone reads the memory when it is back. */
	if (write(wake, "w", 1) < 0)
		return;
}

/* The runs whose bytes nobody needs any more, from the front. */
static uint64_t runs_in_use(uint64_t floor)
{
	uint64_t runs = session->told.runs;
	while (oldest_run + 1 < runs && session->run[(oldest_run + 1) % RUNS] >> 8 <= floor)
		oldest_run++;
	return runs - oldest_run;
}

/* How much may come now: all of it when the oldest may be written over. */
static size_t room(void)
{
	const struct told *told = &session->told;
	if (!(load(session->asked.flags) & KEEP))
		return CHUNK;
	uint64_t limit = told->flags & EXITED ? RING_BYTES : OUTPUT_BYTES, kept = told->head - load(session->asked.keep);
	if (kept >= limit || runs_in_use(load(session->asked.keep)) >= RUNS - 1)
		return 0;
	return limit - kept < CHUNK ? (size_t)(limit - kept) : CHUNK;
}

static void give_way(size_t bytes)
{
	struct told *told = &session->told;
	uint64_t tail = told->tail;
	if (told->head + bytes > tail + RING_BYTES)
		tail = told->head + bytes - RING_BYTES;
	if (runs_in_use(tail) >= RUNS - 1)
		tail = session->run[(oldest_run + 1) % RUNS] >> 8;
	/* A full fence: a reader that sees a byte of what comes now must see that the old one is gone. */
	__atomic_store_n(&told->tail, tail, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void took(uint64_t channel, size_t bytes)
{
	struct told *told = &session->told;
	if (told->runs == 0 || (session->run[(told->runs - 1) % RUNS] & 0xff) != channel) {
		session->run[told->runs % RUNS] = told->head << 8 | channel;
		store(told->runs, told->runs + 1);
	}
	store(told->active, nanoseconds(CLOCK_BOOTTIME));
	store(told->head, told->head + bytes);
}

/* False at the end of the source: end of file of a pipe, EIO of a terminal that nobody has open any more. */
static bool take(int fd, uint64_t channel)
{
	for (size_t total = 0, want; total < CHUNK && (want = room()) > 0;) {
		give_way(want);
		size_t at = session->told.head % RING_BYTES, straight = RING_BYTES - at < want ? RING_BYTES - at : want;
		struct iovec parts[] = { { session->output + at, straight }, { session->output, want - straight } };
		ssize_t got = readv(fd, parts, want > straight ? 2 : 1);
		if (got < 0)
			return errno == EAGAIN || errno == EINTR;
		if (got == 0)
			return false;
		took(channel, (size_t)got);
		total += (size_t)got;
	}
	return true;
}

static void end_input(void)
{
	close(input);
	input = NO_FD;
}

static void give(void)
{
	struct told *told = &session->told;
	while (input != NO_FD && told->input < load(session->asked.input)) {
		size_t at = told->input % INPUT_BYTES, straight = INPUT_BYTES - at;
		uint64_t waiting = load(session->asked.input) - told->input;
		ssize_t sent = write(input, session->input + at, waiting < straight ? waiting : straight);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (sent < 0) {
			/* The command has closed its input, which is its right. */
			end_input();
			tell(INPUT_BROKEN);
			return;
		}
		store(told->active, nanoseconds(CLOCK_BOOTTIME));
		store(told->input, told->input + (uint64_t)sent);
		/* The agent waits for room only where it has found none; a key it need not hear of. */
		if (waiting >= INPUT_BYTES / 2)
			tell(0);
	}
	if (input != NO_FD && load(session->asked.flags) & INPUT_END && told->input >= load(session->asked.input))
		end_input();
}

/* What there is no event to wait for is left out: a hang-up would be told again and again. */
void pump_events(struct pollfd *into)
{
	bool writable = session->told.input < load(session->asked.input), readable = room() > 0;
	for (int i = 0; i < 2; i++)
		into[i] = (struct pollfd){ .fd = readable ? sources[i] : NO_FD, .events = POLLIN };
	into[2] = (struct pollfd){ .fd = writable ? input : NO_FD, .events = POLLOUT };
}

void pump(void)
{
	uint64_t before = session->told.head;
	give();
	for (int i = 0; i < 2; i++) {
		if (sources[i] == NO_FD || take(sources[i], (uint64_t)i + 1))
			continue;
		/* Not closed: the next agent looks for a terminal's master at its place. */
		sources[i] = NO_FD;
		if (terminal)
			input = NO_FD;
	}
	if (sources[0] == NO_FD && sources[1] == NO_FD && !(session->told.flags & OUTPUT_ENDED))
		tell(OUTPUT_ENDED);
	else if (session->told.head != before)
		tell(0);
}
