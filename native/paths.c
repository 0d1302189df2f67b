#define _GNU_SOURCE
#include "enter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

bool same_file(int one, int other)
{
	struct stat a, b;
	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
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

/* mkdir or rmdir, in a way that works where the plain call cannot; the errno of the last try. */
static int change(int directory, const char *name, int (*act)(int, const char *))
{
	if (act(directory, name) == 0)
		return 0;
	if (errno == EOVERFLOW || errno == EACCES) {
		/* The file system belongs to a user namespace in which our uid means nobody: act as the directory's owner. */
		struct stat owner;
		if (fstat(directory, &owner) < 0)
			return -1;
		setfsgid(owner.st_gid);
		setfsuid(owner.st_uid);
		int result = act(directory, name);
		int error = errno;
		setfsuid(0);
		setfsgid(0);
		errno = error;
		return result;
	}
	if (errno != EROFS)
		return -1;
	/* Read-only is a property of the container's mount, not of the file system: a clone of ours need not have it. */
	int clone = (int)syscall(SYS_open_tree, directory, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (clone < 0)
		return -1;
	struct mount_attr attributes = { .attr_clr = MOUNT_ATTR_RDONLY };
	int result = (int)syscall(SYS_mount_setattr, clone, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
	if (result == 0)
		result = act(clone, name);
	if (result < 0 && (errno == EOVERFLOW || errno == EACCES))
		result = change(clone, name, act);
	int error = errno;
	close(clone);
	errno = error;
	return result;
}

static int act_make(int directory, const char *name)
{
	return mkdirat(directory, name, 0755);
}

static int act_remove(int directory, const char *name)
{
	return unlinkat(directory, name, AT_REMOVEDIR);
}

int make_directory(int directory, const char *name, bool *created)
{
	*created = change(directory, name, act_make) == 0;
	return *created || errno == EEXIST ? 0 : -1;
}

int remove_directory(int directory, const char *name)
{
	return change(directory, name, act_remove);
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
	char mode[8], uid[12], gid[12];
	snprintf(mode, sizeof mode, "%o", like->st_mode & 07777);
	snprintf(uid, sizeof uid, "%u", like->st_uid);
	snprintf(gid, sizeof gid, "%u", like->st_gid);
	int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	check("cover", context >= 0, "fsopen(tmpfs)");
	const char *const options[][2] = {
		{ "mode", mode }, { "uid", uid }, { "gid", gid }, { "size", "1m" }, { "nr_inodes", "4096" },
	};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		check("cover", syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0) == 0,
		      "fsconfig(tmpfs, %s)", options[i][0]);
	check("cover", syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0, "fsconfig(tmpfs, create)");
	int mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	check("cover", mount >= 0, "fsmount(tmpfs)");
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
 * Covers `directory`, in a mount namespace of our own, with a directory that has the same entries, without those in `omit`, and
 * with new directories `make`: a mount point without a trace in the container's file system, be it writable or not. The descriptor
 * of the cover.
 */
int cover(int directory, const char *const *omit, const char *const *make)
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
		if (is_dots(entry->d_name) || contains(omit, entry->d_name) || contains(make, entry->d_name))
			continue;
		if (++count > MAX_ENTRIES)
			fail("cover", E2BIG, "the directory has more than %d entries", MAX_ENTRIES);
		carry_over(directory, mount, entry->d_name);
	}
	closedir(entries);
	for (; *make; make++)
		check("cover", mkdirat(mount, *make, 0755) == 0, "mkdirat(%s)", *make);
	return mount;
}
