/*
 * crashcart-install DESTINATION [SOURCE]
 *
 * Copies the toolbox out of its image, which has no shell and no cp. DESTINATION appears whole or not at all: a reader
 * sees the old file or the new one. SOURCE is /toolbox.erofs unless given. Exit 0, or 1 with one sentence on stderr.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char temporary[PATH_MAX];

static void fail(const char *call, const char *path)
{
	fprintf(stderr, "crashcart-install: %s %s: %s\n", call, path, strerror(errno));
	if (temporary[0] != '\0')
		unlink(temporary);
	exit(1);
}

/*
 * A toolbox is larger than the memory that this container may have, and the kernel counts pages of files. Writing them out as we go, and
 * dropping them, keeps the copy within 16 MiB; a file system that cannot is none the worse.
 */
static void drop_pages(int from, int to, off_t at)
{
	static const off_t step = 8 << 20;

	if (at % step != 0 || at == 0)
		return;
	sync_file_range(to, at - step, step, SYNC_FILE_RANGE_WRITE);
	if (at == step)
		return;
	sync_file_range(to, at - 2 * step, step,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	posix_fadvise(to, 0, at - step, POSIX_FADV_DONTNEED);
	posix_fadvise(from, 0, at, POSIX_FADV_DONTNEED);
}

static void copy(int from, int to, const char *source)
{
	static char buffer[1 << 20];
	ssize_t got;
	off_t done = 0;

	while ((got = read(from, buffer, sizeof buffer)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fail("read", source);
		for (ssize_t at = 0; at < got;) {
			ssize_t put = write(to, buffer + at, (size_t)(got - at));
			if (put < 0 && errno != EINTR)
				fail("write", temporary);
			if (put > 0)
				at += put;
		}
		done += got;
		drop_pages(from, to, done);
	}
}

/* The directory of the destination, as a descriptor and as a prefix that the temporary file shares. */
static int open_directory(const char *destination, char *prefix, size_t size)
{
	const char *slash = strrchr(destination, '/');
	int length = slash == NULL ? 0 : (int)(slash - destination) + 1;
	int directory;

	if ((size_t)snprintf(prefix, size, "%.*s", length, destination) >= size) {
		errno = ENAMETOOLONG;
		fail("open", destination);
	}
	directory = open(length == 0 ? "." : prefix, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		fail("open", prefix);
	return directory;
}

int main(int argc, char **argv)
{
	char prefix[PATH_MAX - 64];

	if (argc < 2 || argc > 3 || argv[1][0] == '-' || argv[1][0] == '\0') {
		fprintf(stderr, "usage: crashcart-install DESTINATION [SOURCE]\n");
		return 1;
	}
	const char *destination = argv[1];
	const char *source = argc == 3 ? argv[2] : "/toolbox.erofs";
	int directory = open_directory(destination, prefix, sizeof prefix);

	int from = open(source, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		fail("open", source);

	/* Always the same name: what a killed run left behind is replaced by the next one instead of piling up. */
	snprintf(temporary, sizeof temporary, "%s.crashcart-install.new", prefix);
	unlink(temporary);
	int to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		fail("open", temporary);

	copy(from, to, source);
	if (fchmod(to, 0444) != 0)
		fail("fchmod", temporary);
	if (fsync(to) != 0)
		fail("fsync", temporary);
	if (close(to) != 0)
		fail("close", temporary);
	if (rename(temporary, destination) != 0)
		fail("rename", destination);
	temporary[0] = '\0';
	if (fsync(directory) != 0)
		fail("fsync", prefix);
	return 0;
}
