#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define POINT "crashcart"

static int open_root(void)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	check("root", root >= 0, "open(/)");
	return root;
}

/* -1 with ENOENT when the container has none; anything but a directory is refused. */
static int open_dev(int root)
{
	int dev = open_beneath(root, "dev", 0);
	if (dev < 0 && errno != ENOENT)
		fail("occupied", errno, "/dev is not a directory");
	return dev;
}

/* Whatever the container itself has at /dev/crashcart stays, and keeps us out: hiding it would be a lie about the container. */
static void require_free(int dev, int toolbox, uint64_t standing)
{
	struct stat at, outside, ours = { 0 };
	if (fstatat(dev, POINT, &at, AT_SYMLINK_NOFOLLOW) < 0) {
		check("mountpoint", errno == ENOENT, "fstatat(/dev/" POINT ")");
		return;
	}
	if (!S_ISDIR(at.st_mode) && guarded(NO_SYMLINKS))
		fail("occupied", EEXIST, "%s", S_ISLNK(at.st_mode) ? "a symbolic link" : "a file");
	int point = open_beneath(dev, POINT, 0);
	check("mountpoint", point >= 0 && fstat(point, &at) == 0 && fstat(dev, &outside) == 0, "open(/dev/" POINT ")");
	/* A toolbox of ours, put there for a session whose visibility is Container; after a restart of the agent it is another superblock than ours. */
	bool known = (toolbox != NO_FD && fstat(toolbox, &ours) == 0 && at.st_dev == ours.st_dev) || (standing && at.st_dev == standing);
	if (!known && at.st_dev != outside.st_dev)
		fail("occupied", EBUSY, "a mount of another file system");
	if (guarded(OWN_FILES) && !known && !is_empty(point))
		fail("occupied", ENOTEMPTY, "a directory that is not empty");
	close(point);
}

static void put(int dev, const char *name, int mount)
{
	int target = open_beneath(dev, name, 0);
	check("place", target >= 0, "open(/dev/%s)", name);
	check("place", syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0,
	      "move_mount(/dev/%s)", name);
	close(target);
}

/* The mount points, and what a shell expects to find, where the container has none of it. */
static void furnish(int dev, bool toolbox)
{
	static const char *const links[][2] = {
		{ "pts/ptmx", "ptmx" }, { "/proc/self/fd", "fd" },
		{ "fd/0", "stdin" }, { "fd/1", "stdout" }, { "fd/2", "stderr" },
	};
	check("cover", mkdirat(dev, "pts", 0755) == 0, "mkdirat(pts)");
	check("cover", !toolbox || mkdirat(dev, POINT, 0755) == 0, "mkdirat(" POINT ")");
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		check("cover", symlinkat(links[i][0], dev, links[i][1]) == 0 || errno == EEXIST, "symlinkat(%s)", links[i][1]);
}

static int cover_dev(int dev, bool toolbox)
{
	/* ptmx is made again as a link: a device node of that name looks for `pts` beside itself, in the covered directory. */
	const char *const anew[] = { "ptmx", "pts", toolbox ? POINT : NULL, NULL };
	int covered = cover(dev, anew);
	furnish(covered, toolbox);
	return covered;
}

/* A container without /dev: its root directory gets a cover that has one. */
static int cover_root(int root, bool toolbox)
{
	static const char *const anew[] = { "dev", NULL };
	int covered = cover(root, anew);
	check("cover", mkdirat(covered, "dev", 0755) == 0, "mkdirat(dev)");
	check("cover", fchdir(covered) == 0 && chroot(".") == 0, "chroot");
	int dev = open_beneath(covered, "dev", 0);
	check("cover", dev >= 0, "open(/dev)");
	furnish(dev, toolbox);
	return dev;
}

/*
 * In a private copy of the container's mount namespace: the toolbox (unless it stands in the container already) and the session's own
 * devpts. Mounts that the container makes later still arrive (slave), none of ours goes back, and all end with the last process.
 */
void place_in_session(const struct request *request)
{
	check("unshare", !guarded(PRIVATE_MOUNTS) || unshare(CLONE_NEWNS) == 0, "unshare(mount namespace)");
	check("propagation", !guarded(PRIVATE_MOUNTS) || !guarded(SLAVE_MOUNTS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0, "mount(/, slave)");
	bool toolbox = request->toolbox != NO_FD;
	int root = open_root();
	int dev = open_dev(root);
	if (dev >= 0 && toolbox)
		require_free(dev, request->toolbox, request->device);
	if (dev < 0)
		dev = cover_root(root, toolbox);
	else if (toolbox || open_beneath(dev, "pts", 0) < 0)
		dev = cover_dev(dev, toolbox);
	if (toolbox)
		put(dev, POINT, request->toolbox);
	put(dev, "pts", request->devpts);
	check("root", chdir("/") == 0, "chdir(/)");
}

static void detach(int mount)
{
	check("detach", fchdir(mount) == 0, "fchdir(toolbox)");
	/* By the mount itself, never by a path: a path may lead elsewhere by now. EINVAL: it is attached nowhere any more. */
	check("detach", umount2(".", MNT_DETACH) == 0 || errno == EINVAL, "umount2(/dev/" POINT ")");
	check("root", chdir("/") == 0, "chdir(/)");
}

static bool same_file(int one, int other)
{
	struct stat a, b;
	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* In the container's own mount namespace, for everyone in it to see. */
void place_in_container(const struct request *request)
{
	bool created_dev = false;
	int root = open_root();
	int dev = open_dev(root);
	if (dev < 0) {
		created_dev = change_directory(root, "dev", MAKE);
		check("mountpoint", created_dev || errno == EEXIST, "mkdirat(/dev)");
		dev = open_dev(root);
		check("mountpoint", dev >= 0, "open(/dev)");
	}
	require_free(dev, NO_FD, 0);
	bool created = change_directory(dev, POINT, MAKE);
	check("mountpoint", created || errno == EEXIST, "mkdirat(/dev/" POINT ")");
	put(dev, POINT, request->toolbox);
	/* The container may have moved the directory between the two: what does not stand where it should is taken back. */
	int seen = open_beneath(root, "dev/" POINT, 0);
	if (guarded(RECHECK) && (seen < 0 || !same_file(seen, request->toolbox))) {
		detach(request->toolbox);
		fail("place", EAGAIN, "/dev/" POINT " was moved while the toolbox was put there");
	}
	say("placed %d %d", created, created_dev);
}

/* The mount where its descriptor is lost, after a restart of the agent: only if it is the toolbox by its device number. */
static int find_mount(int root, uint64_t device)
{
	struct stat found;
	int mount = open_beneath(root, "dev/" POINT, 0);
	return mount >= 0 && fstat(mount, &found) == 0 && found.st_dev == device ? mount : NO_FD;
}

/* Gone already, or something of the container's own is there by now, in it or in its place: that stays. */
static bool is_theirs(int error)
{
	return error == ENOENT || error == ENOTEMPTY || error == ENOTDIR || error == EBUSY;
}

void remove_from_container(const struct request *request)
{
	int root = open_root();
	int mount = request->toolbox != NO_FD ? request->toolbox : find_mount(root, request->device);
	if (mount != NO_FD)
		detach(mount);
	int dev = open_dev(root);
	if (dev >= 0 && request->created)
		check("mountpoint", change_directory(dev, POINT, REMOVE) || is_theirs(errno), "unlinkat(/dev/" POINT ")");
	if (dev >= 0 && request->createddev)
		check("mountpoint", change_directory(root, "dev", REMOVE) || is_theirs(errno), "unlinkat(/dev)");
	say("removed");
}
