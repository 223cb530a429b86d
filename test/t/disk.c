/*
 * A disk that a test can fill up, and whose power it can cut.  It is preloaded into the server: what is synced is copied
 * to a folder of its own (DISK_SYNCED), by the number of the file, so that a test can put files back to what was synced,
 * or to a mixture of that and what came later.  While the file DISK_FULL is there, no file grows.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(type, name) ((type) dlsym(RTLD_NEXT, name))

static int
rename_file(const char *from, const char *to)
{
	return REAL(int (*) (const char *, const char *), "rename") (from, to);
}

/* Whether the file must not grow to the size: one of the data directory, which is where the server runs. */
static int
is_full(int fd, off_t size)
{
	const char *full = getenv("DISK_FULL");
	struct stat st;

	if (full == NULL || access(full, F_OK) != 0)
		return 0;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || size <= st.st_size)
		return 0;
	errno = ENOSPC;
	return 1;
}

ssize_t
pwrite(int fd, const void *data, size_t size, off_t at)
{
	if (is_full(fd, at + (off_t) size))
		return -1;
	return REAL(ssize_t (*) (int, const void *, size_t, off_t), "pwrite") (fd, data, size, at);
}

ssize_t
pwrite64(int fd, const void *data, size_t size, off_t at)
{
	return pwrite(fd, data, size, at);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
	off_t		size = at;

	for (int i = 0; i < count; i++)
		size += (off_t) parts[i].iov_len;
	if (is_full(fd, size))
		return -1;
	return REAL(ssize_t (*) (int, const struct iovec *, int, off_t), "pwritev") (fd, parts, count, at);
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int count, off_t at)
{
	return pwritev(fd, parts, count, at);
}

int
posix_fallocate(int fd, off_t at, off_t size)
{
	if (is_full(fd, at + size))
		return ENOSPC;
	return REAL(int (*) (int, off_t, off_t), "posix_fallocate") (fd, at, size);
}

/* Where what was synced of a file is kept; NULL for what is no file. */
static const char *
kept_path(const struct stat *st, char *path, size_t size)
{
	const char *synced = getenv("DISK_SYNCED");

	if (synced == NULL || !S_ISREG(st->st_mode))
		return NULL;
	snprintf(path, size, "%s/%llu", synced, (unsigned long long) st->st_ino);
	return path;
}

/*
 * Keeps what the file is now, under a lock, so that whoever syncs it later keeps what is newer.  Nothing needs to reach a
 * real disk: the machine goes on.
 */
static int
keep(int fd)
{
	struct stat st;
	char		from[64],
				path[1024],
				lock_path[1100],
				part[1100];
	char		buffer[65536];
	ssize_t		got;
	off_t		at = 0;
	int			lock,
				in,
				out;

	if (fstat(fd, &st) != 0 || kept_path(&st, path, sizeof(path)) == NULL)
		return 0;
	snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
	snprintf(part, sizeof(part), "%s.part", path);
	/* the descriptor may be for writing only */
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	lock = open(lock_path, O_RDWR | O_CREAT, 0600);
	while (flock(lock, LOCK_EX) != 0)
		if (errno != EINTR)
			abort();
	in = open(from, O_RDONLY);
	out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (in < 0 || out < 0)
		abort();
	while ((got = pread(in, buffer, sizeof(buffer), at)) > 0)
	{
		if (write(out, buffer, (size_t) got) != got)
			abort();
		at += got;
	}
	if (got < 0 || close(in) != 0 || close(out) != 0 || rename_file(part, path) != 0)
		abort();
	close(lock);
	return 0;
}

/* Forgets a file that is about to go: its number will be another's. */
static void
forget(const char *name)
{
	struct stat st;
	char		path[1024];

	if (lstat(name, &st) == 0 && st.st_nlink == 1 && kept_path(&st, path, sizeof(path)) != NULL)
		REAL(int (*) (const char *), "unlink") (path);
}

int
unlink(const char *name)
{
	forget(name);
	return REAL(int (*) (const char *), "unlink") (name);
}

int
rename(const char *from, const char *to)
{
	forget(to);
	return rename_file(from, to);
}

int
fsync(int fd)
{
	return keep(fd);
}

int
fdatasync(int fd)
{
	return keep(fd);
}
