#include "enter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* More entries than any /dev or root directory in earnest: a hostile container must not keep us busy. */
#define MAX_ENTRIES 2048

int open_beneath(int directory, const char *name, uint64_t flags)
{
	if (!guarded(NO_SYMLINKS))
		return openat(directory, name, (int)flags | O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct open_how how = {
		.flags = flags | O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	return (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
}

static DIR *open_directory(int directory)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? NULL : fdopendir(fd);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bool is_empty(int directory)
{
	DIR *entries = open_directory(directory);
	if (!entries)
		return false;
	bool empty = true;
	for (struct dirent *entry; empty && (entry = readdir(entries));)
		empty = is_dots(entry->d_name);
	closedir(entries);
	return empty;
}

static bool plainly(int directory, const char *name, enum change change)
{
	return (change == MAKE ? mkdirat(directory, name, 0755) : unlinkat(directory, name, AT_REMOVEDIR)) == 0;
}

static bool as_owner(int directory, const char *name, enum change change)
{
	struct stat owner;
	if (plainly(directory, name, change))
		return true;
	if ((errno != EOVERFLOW && errno != EACCES) || fstat(directory, &owner) < 0)
		return false;
	/* The file system belongs to a user namespace in which our uid means nobody. None of these four calls touches errno. */
	setfsgid(owner.st_gid);
	setfsuid(owner.st_uid);
	bool changed = plainly(directory, name, change);
	setfsuid(0);
	setfsgid(0);
	return changed;
}

/* In ways that work where the plain call cannot; if none does, the errno of the last one. */
bool change_directory(int directory, const char *name, enum change change)
{
	if (as_owner(directory, name, change))
		return true;
	if (errno != EROFS)
		return false;
	/* Read-only is a property of the container's mount, not of the file system: a clone of ours need not have it. It goes with us. */
	int clone = (int)syscall(SYS_open_tree, directory, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	struct mount_attr attributes = { .attr_clr = MOUNT_ATTR_RDONLY };
	return clone >= 0 && syscall(SYS_mount_setattr, clone, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0 &&
	       as_owner(clone, name, change);
}

static bool contains(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static int new_tmpfs(const struct stat *like)
{
	int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	check("cover", context >= 0, "fsopen(tmpfs)");
	static const char *const bounds[][2] = { { "size", "1m" }, { "nr_inodes", "4096" } };
	for (int i = 0; i < 2; i++)
		check("cover", syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, bounds[i][0], bounds[i][1], 0) == 0, "fsconfig(tmpfs, %s)", bounds[i][0]);
	check("cover", syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0, "fsconfig(tmpfs, create)");
	int mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	check("cover", mount >= 0, "fsmount(tmpfs)");
	check("cover", fchownat(mount, "", like->st_uid, like->st_gid, AT_EMPTY_PATH) == 0, "fchownat(tmpfs)");
	check("cover", fchmodat(mount, ".", like->st_mode & 07777, 0) == 0, "fchmodat(tmpfs)");
	close(context);
	return mount;
}

/* One entry of the covered directory, as the same thing in the cover: a link again, or the thing itself by a clone of its mount. */
static void carry_over(int from, int to, const char *name)
{
	struct stat what;
	if (fstatat(from, name, &what, AT_SYMLINK_NOFOLLOW) < 0)
		return; /* it has just gone */
	if (S_ISLNK(what.st_mode)) {
		char target[4096];
		ssize_t length = readlinkat(from, name, target, sizeof target - 1);
		if (length < 0)
			return;
		target[length] = '\0';
		check("cover", symlinkat(target, to, name) == 0, "symlinkat(%s)", name);
		return;
	}
	int tree = (int)syscall(SYS_open_tree, from, name,
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
	if (tree < 0)
		return; /* gone, or a mount that its owner made unbindable */
	bool directory = S_ISDIR(what.st_mode);
	int made = directory ? mkdirat(to, name, 0755) : mknodat(to, name, S_IFREG | 0644, 0);
	check("cover", made == 0, "making %s", name);
	/* The container may have swapped a file for a directory meanwhile: then the session sees neither. */
	if (syscall(SYS_move_mount, tree, "", to, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		unlinkat(to, name, directory ? AT_REMOVEDIR : 0);
	close(tree);
}

/*
 * Covers `directory`, in a mount namespace of our own, with one that has the same entries but those in `without`: there a mount point leaves
 * no trace in the container's file system, be it writable or not. The descriptor of the cover.
 */
int cover(int directory, const char *const *without)
{
	struct stat like;
	check("cover", fstat(directory, &like) == 0, "fstat");
	DIR *entries = open_directory(directory);
	check("cover", entries, "reading the directory to cover");
	int mount = new_tmpfs(&like);
	/* Before 6.15 nothing can be attached inside a mount that is not attached itself: so first this, then the entries. */
	check("cover", syscall(SYS_move_mount, mount, "", directory, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0,
	      "move_mount(tmpfs)");
	int count = 0;
	for (struct dirent *entry; (entry = readdir(entries));) {
		if (is_dots(entry->d_name) || contains(without, entry->d_name))
			continue;
		if (++count > MAX_ENTRIES)
			fail("cover", E2BIG, "the directory has more than %d entries", MAX_ENTRIES);
		carry_over(directory, mount, entry->d_name);
	}
	closedir(entries);
	return mount;
}
