#define _GNU_SOURCE
#include "CLinux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

const int32_t linux_O_RDONLY = O_RDONLY, linux_O_WRONLY = O_WRONLY, linux_O_RDWR = O_RDWR, linux_O_CREAT = O_CREAT,
              linux_O_EXCL = O_EXCL, linux_O_TRUNC = O_TRUNC, linux_O_APPEND = O_APPEND, linux_O_NONBLOCK = O_NONBLOCK,
              linux_O_DIRECTORY = O_DIRECTORY, linux_O_NOFOLLOW = O_NOFOLLOW, linux_O_CLOEXEC = O_CLOEXEC,
              linux_O_NOATIME = O_NOATIME, linux_O_PATH = O_PATH, linux_O_TMPFILE = O_TMPFILE, linux_O_DIRECT = O_DIRECT,
              linux_O_DSYNC = O_DSYNC, linux_O_SYNC = O_SYNC,
              linux_O_NOCTTY = O_NOCTTY;
const int32_t linux_not_permitted = -EPERM, linux_would_block = -EWOULDBLOCK, linux_invalid = -EINVAL,
              linux_no_such_address = -ENXIO, linux_no_data = -ENODATA, linux_too_large = -ERANGE, linux_not_found = -ENOENT,
              linux_exists = -EEXIST, linux_no_system_call = -ENOSYS, linux_other_device = -EXDEV,
              linux_too_many_links = -ELOOP, linux_not_a_directory = -ENOTDIR, linux_not_supported = -EOPNOTSUPP,
              linux_stale = -ESTALE;
const int32_t linux_AT_FDCWD = AT_FDCWD, linux_AT_SYMLINK_NOFOLLOW = AT_SYMLINK_NOFOLLOW, linux_AT_REMOVEDIR = AT_REMOVEDIR,
              linux_AT_EMPTY_PATH = AT_EMPTY_PATH, linux_AT_NO_AUTOMOUNT = AT_NO_AUTOMOUNT,
              linux_AT_SYMLINK_FOLLOW = AT_SYMLINK_FOLLOW;
const uint32_t linux_RENAME_NOREPLACE = RENAME_NOREPLACE, linux_RENAME_EXCHANGE = RENAME_EXCHANGE;
const uint64_t linux_RESOLVE_BENEATH = RESOLVE_BENEATH, linux_RESOLVE_NO_SYMLINKS = RESOLVE_NO_SYMLINKS,
               linux_RESOLVE_NO_MAGICLINKS = RESOLVE_NO_MAGICLINKS, linux_RESOLVE_NO_XDEV = RESOLVE_NO_XDEV,
               linux_RESOLVE_IN_ROOT = RESOLVE_IN_ROOT;
const uint32_t linux_S_IFMT = S_IFMT, linux_S_IFREG = S_IFREG, linux_S_IFDIR = S_IFDIR, linux_S_IFLNK = S_IFLNK,
               linux_S_IFIFO = S_IFIFO, linux_S_IFSOCK = S_IFSOCK, linux_S_IFCHR = S_IFCHR, linux_S_IFBLK = S_IFBLK;
const uint8_t linux_DT_UNKNOWN = DT_UNKNOWN, linux_DT_REG = DT_REG, linux_DT_DIR = DT_DIR, linux_DT_LNK = DT_LNK,
              linux_DT_FIFO = DT_FIFO, linux_DT_SOCK = DT_SOCK, linux_DT_CHR = DT_CHR, linux_DT_BLK = DT_BLK;
const int32_t linux_SEEK_SET = SEEK_SET, linux_SEEK_DATA = SEEK_DATA, linux_SEEK_HOLE = SEEK_HOLE;
const int32_t linux_FADV_NORMAL = POSIX_FADV_NORMAL, linux_FADV_SEQUENTIAL = POSIX_FADV_SEQUENTIAL,
              linux_FADV_RANDOM = POSIX_FADV_RANDOM, linux_FADV_WILLNEED = POSIX_FADV_WILLNEED,
              linux_FADV_DONTNEED = POSIX_FADV_DONTNEED, linux_FADV_NOREUSE = POSIX_FADV_NOREUSE;
const uint32_t linux_SYNC_FILE_RANGE_WAIT_BEFORE = SYNC_FILE_RANGE_WAIT_BEFORE,
               linux_SYNC_FILE_RANGE_WRITE = SYNC_FILE_RANGE_WRITE,
               linux_SYNC_FILE_RANGE_WAIT_AFTER = SYNC_FILE_RANGE_WAIT_AFTER;

#define PATH_BYTES 4096
#define PROC_BYTES (PATH_BYTES + 32)

// Declares `z`, a NUL-terminated copy of counted bytes, or returns why there can be none.
#define TERMINATED(z, bytes, count)                                                                                              \
    char z[PATH_BYTES];                                                                                                          \
    if ((count) >= PATH_BYTES) return -ENAMETOOLONG;                                                                             \
    if (count) memcpy(z, (bytes), (count));                                                                                      \
    z[(count)] = 0;                                                                                                              \
    if ((count) && memchr(z, 0, (count))) return -EINVAL

// Evaluates a call until no signal interrupts it, and returns its result or its negated errno.
#define RETURN_CALL(type, call)                                                                                                  \
    do {                                                                                                                         \
        type result_;                                                                                                            \
        do {                                                                                                                     \
            result_ = (type)(call);                                                                                              \
        } while (result_ < 0 && errno == EINTR);                                                                                 \
        return result_ < 0 ? (type)-errno : result_;                                                                             \
    } while (0)

int32_t linux_statx(int32_t directory, const void *name, size_t length, int32_t flags, struct linux_status *out) {
    TERMINATED(path, name, length);
    struct statx s;
    int result;
    do {
        result = statx(directory, path, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_MNT_ID, &s);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    out->size = s.stx_size;
    out->blocks = s.stx_blocks;
    out->inode = s.stx_ino;
    out->mount_id = s.stx_mnt_id;
    out->mtime_seconds = s.stx_mtime.tv_sec;
    out->ctime_seconds = s.stx_ctime.tv_sec;
    out->mtime_nanoseconds = s.stx_mtime.tv_nsec;
    out->ctime_nanoseconds = s.stx_ctime.tv_nsec;
    out->mode = s.stx_mode;
    out->uid = s.stx_uid;
    out->gid = s.stx_gid;
    out->links = s.stx_nlink;
    out->device = makedev(s.stx_dev_major, s.stx_dev_minor);
    out->device_number = makedev(s.stx_rdev_major, s.stx_rdev_minor);
    out->is_mount_root = (s.stx_attributes_mask & s.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    out->has_mount_id = (s.stx_mask & STATX_MNT_ID) != 0;
    return 0;
}

int32_t linux_openat(int32_t directory, const void *name, size_t length, int32_t flags, uint32_t mode) {
    TERMINATED(path, name, length);
    RETURN_CALL(int32_t, openat(directory, path, flags | O_CLOEXEC, mode));
}

int32_t linux_openat2(int32_t directory, const void *name, size_t length, int32_t flags, uint32_t mode, uint64_t resolve) {
    TERMINATED(path, name, length);
    struct open_how how = {.flags = (uint64_t)(uint32_t)(flags | O_CLOEXEC), .mode = mode, .resolve = resolve};
    long result;
    do {
        // EAGAIN: something was renamed during a RESOLVE_BENEATH look-up; the kernel asks to try again.
        result = syscall(SYS_openat2, directory, path, &how, sizeof how);
    } while (result < 0 && (errno == EINTR || errno == EAGAIN));
    return result < 0 ? -errno : (int32_t)result;
}

int32_t linux_close(int32_t fd) {
    // Linux has released the descriptor even where it says EINTR: it must not be closed again.
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}
int32_t linux_dup(int32_t fd) { RETURN_CALL(int32_t, fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

int64_t linux_getdents64(int32_t fd, void *buffer, size_t length) { RETURN_CALL(int64_t, getdents64(fd, buffer, length)); }
int64_t linux_seek(int32_t fd, int64_t offset, int32_t whence) { RETURN_CALL(int64_t, lseek(fd, offset, whence)); }
int64_t linux_readlinkat(int32_t directory, const void *name, size_t length, void *target, size_t target_length) {
    TERMINATED(path, name, length);
    RETURN_CALL(int64_t, readlinkat(directory, path, target, target_length));
}

int64_t linux_read(int32_t fd, void *buffer, size_t length) { RETURN_CALL(int64_t, read(fd, buffer, length)); }
int64_t linux_write(int32_t fd, const void *buffer, size_t length) { RETURN_CALL(int64_t, write(fd, buffer, length)); }
int64_t linux_pread(int32_t fd, void *buffer, size_t length, int64_t offset) {
    RETURN_CALL(int64_t, pread(fd, buffer, length, offset));
}
int64_t linux_pwrite(int32_t fd, const void *buffer, size_t length, int64_t offset) {
    RETURN_CALL(int64_t, pwrite(fd, buffer, length, offset));
}
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

// Whether the call failed only because it was asked not to cache.
static int knows_no_uncached(int64_t result) { return result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL; }

static int64_t pread_flags(int32_t fd, void *buffer, size_t length, int64_t offset, int flags) {
    struct iovec part = {buffer, length};
    RETURN_CALL(int64_t, preadv2(fd, &part, 1, offset, flags));
}
static int64_t pwrite_flags(int32_t fd, const void *buffer, size_t length, int64_t offset, int flags) {
    struct iovec part = {(void *)buffer, length};
    RETURN_CALL(int64_t, pwritev2(fd, &part, 1, offset, flags));
}
static int64_t read_all(int32_t fd, void *buffer, size_t length, int64_t offset, int flags) {
    size_t done = 0;
    while (done < length) {
        char *next = (char *)buffer + done;
        int64_t position = offset + (int64_t)done;
        int64_t count = flags ? pread_flags(fd, next, length - done, position, flags)
                              : linux_pread(fd, next, length - done, position);
        if (flags && knows_no_uncached(count)) {
            flags = 0;
            continue;
        }
        if (count < 0) return count;
        if (count == 0) break;
        done += (size_t)count;
    }
    return (int64_t)done;
}
static int32_t write_all(int32_t fd, const void *buffer, size_t length, int64_t offset, int flags) {
    size_t done = 0;
    while (done < length) {
        const char *next = (const char *)buffer + done;
        int64_t position = offset + (int64_t)done;
        int64_t count = flags ? pwrite_flags(fd, next, length - done, position, flags)
                              : linux_pwrite(fd, next, length - done, position);
        if (flags && knows_no_uncached(count)) {
            flags = 0;
            continue;
        }
        if (count < 0) return (int32_t)count;
        if (count == 0) return -EIO;
        done += (size_t)count;
    }
    return 0;
}
int64_t linux_pread_full(int32_t fd, void *buffer, size_t length, int64_t offset) {
    return read_all(fd, buffer, length, offset, 0);
}
int32_t linux_pwrite_full(int32_t fd, const void *buffer, size_t length, int64_t offset) {
    return write_all(fd, buffer, length, offset, 0);
}
int64_t linux_pread_full_uncached(int32_t fd, void *buffer, size_t length, int64_t offset) {
    return read_all(fd, buffer, length, offset, RWF_DONTCACHE);
}
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

int32_t linux_is_uncached(int32_t fd, int64_t offset, size_t length) {
    // As in <linux/mman.h> of newer kernels: pages in the cache, dirty, being written, evicted, evicted lately.
    struct { uint64_t offset, length; } range = {(uint64_t)offset, length};
    struct { uint64_t cached, others[4]; } found = {0};
    if (syscall(SYS_cachestat, fd, &range, &found, 0) != 0) return -errno;
    return found.cached == 0;
}
int32_t linux_reopen_direct(int32_t fd) {
    // By the descriptor and not by the name: somebody may have put another file there.
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    RETURN_CALL(int32_t, open(path, O_RDONLY | O_DIRECT | O_CLOEXEC));
}
int32_t linux_pwrite_full_uncached(int32_t fd, const void *buffer, size_t length, int64_t offset) {
    return write_all(fd, buffer, length, offset, RWF_DONTCACHE);
}
int64_t linux_copy_file_range(int32_t from, int64_t from_offset, int32_t to, int64_t to_offset, size_t length) {
    loff_t in = from_offset, out = to_offset;
    RETURN_CALL(int64_t, copy_file_range(from, &in, to, &out, length, 0));
}
int32_t linux_ftruncate(int32_t fd, int64_t size) { RETURN_CALL(int32_t, ftruncate(fd, size)); }
int32_t linux_punch_hole(int32_t fd, int64_t offset, int64_t length) {
    RETURN_CALL(int32_t, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length));
}
int32_t linux_allocate(int32_t fd, int64_t offset, int64_t length, int32_t keep_size) {
    RETURN_CALL(int32_t, fallocate(fd, keep_size ? FALLOC_FL_KEEP_SIZE : 0, offset, length));
}
int32_t linux_fsync(int32_t fd) { RETURN_CALL(int32_t, fsync(fd)); }
int32_t linux_fdatasync(int32_t fd) { RETURN_CALL(int32_t, fdatasync(fd)); }
int32_t linux_syncfs(int32_t fd) { RETURN_CALL(int32_t, syncfs(fd)); }
int32_t linux_sync_file_range(int32_t fd, int64_t offset, int64_t length, uint32_t flags) {
    RETURN_CALL(int32_t, sync_file_range(fd, offset, length, flags));
}
int32_t linux_fadvise(int32_t fd, int64_t offset, int64_t length, int32_t advice) {
    return -posix_fadvise(fd, offset, length, advice);
}
int32_t linux_readahead(int32_t fd, int64_t offset, size_t length) { RETURN_CALL(int32_t, readahead(fd, offset, length)); }
int32_t linux_flock(int32_t fd, int32_t exclusive) {
    RETURN_CALL(int32_t, flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB));
}

int32_t linux_mkdirat(int32_t directory, const void *name, size_t length, uint32_t mode) {
    TERMINATED(path, name, length);
    RETURN_CALL(int32_t, mkdirat(directory, path, mode));
}
int32_t linux_mknodat(int32_t directory, const void *name, size_t length, uint32_t mode, uint64_t device_number) {
    TERMINATED(path, name, length);
    RETURN_CALL(int32_t, mknodat(directory, path, mode, device_number));
}
int32_t linux_symlinkat(const void *target, size_t target_length, int32_t directory, const void *name, size_t length) {
    TERMINATED(path, name, length);
    TERMINATED(link, target, target_length);
    RETURN_CALL(int32_t, symlinkat(link, directory, path));
}
int32_t linux_linkat(int32_t from, const void *from_name, size_t from_length, int32_t to, const void *to_name, size_t to_length,
                     int32_t flags) {
    TERMINATED(old, from_name, from_length);
    TERMINATED(new, to_name, to_length);
    RETURN_CALL(int32_t, linkat(from, old, to, new, flags));
}
int32_t linux_unlinkat(int32_t directory, const void *name, size_t length, int32_t flags) {
    TERMINATED(path, name, length);
    RETURN_CALL(int32_t, unlinkat(directory, path, flags));
}
int32_t linux_renameat2(int32_t from, const void *from_name, size_t from_length, int32_t to, const void *to_name,
                        size_t to_length, uint32_t flags) {
    TERMINATED(old, from_name, from_length);
    TERMINATED(new, to_name, to_length);
    RETURN_CALL(int32_t, renameat2(from, old, to, new, flags));
}
int32_t linux_chown(int32_t directory, const void *name, size_t length, uint32_t uid, uint32_t gid) {
    TERMINATED(path, name, length);
    RETURN_CALL(int32_t, fchownat(directory, path, uid, gid, length ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH));
}
int32_t linux_fchmod(int32_t fd, uint32_t mode) { RETURN_CALL(int32_t, fchmod(fd, mode)); }
int32_t linux_chmod(int32_t directory, const void *name, size_t length, uint32_t mode) {
    int32_t fd = linux_openat(directory, name, length, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0) return fd;
    struct stat s;
    int32_t result = 0;
    if (fstat(fd, &s) < 0) result = -errno;
    else if (S_ISLNK(s.st_mode)) result = -EOPNOTSUPP;
    else {
        char proc[PROC_BYTES];
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        do {
            result = chmod(proc, mode) < 0 ? -errno : 0;
        } while (result == -EINTR);
    }
    close(fd);
    return result;
}
int32_t linux_set_mtime(int32_t directory, const void *name, size_t length, int64_t seconds, uint32_t nanoseconds) {
    TERMINATED(path, name, length);
    struct timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = seconds, .tv_nsec = nanoseconds}};
    if (length == 0) RETURN_CALL(int32_t, futimens(directory, times));
    RETURN_CALL(int32_t, utimensat(directory, path, times, AT_SYMLINK_NOFOLLOW));
}

int64_t linux_flistxattr(int32_t fd, void *names, size_t length) { RETURN_CALL(int64_t, flistxattr(fd, names, length)); }
int64_t linux_fgetxattr(int32_t fd, const void *name, size_t length, void *value, size_t value_length) {
    TERMINATED(attribute, name, length);
    RETURN_CALL(int64_t, fgetxattr(fd, attribute, value, value_length));
}
int32_t linux_fsetxattr(int32_t fd, const void *name, size_t length, const void *value, size_t value_length) {
    TERMINATED(attribute, name, length);
    RETURN_CALL(int32_t, fsetxattr(fd, attribute, value, value_length, 0));
}
int32_t linux_fremovexattr(int32_t fd, const void *name, size_t length) {
    TERMINATED(attribute, name, length);
    RETURN_CALL(int32_t, fremovexattr(fd, attribute));
}

// "/proc/self/fd/N/entry": the link N is followed to the open directory, however deep it lies; the last component is not.
#define ENTRY_PATH(z, directory, entry, length)                                                                                  \
    char z[PROC_BYTES];                                                                                                          \
    if ((length) >= PATH_BYTES) return -ENAMETOOLONG;                                                                            \
    if (memchr((entry), 0, (length))) return -EINVAL;                                                                            \
    int z##_length = snprintf(z, 32, "/proc/self/fd/%d/", (directory));                                                          \
    memcpy(z + z##_length, (entry), (length));                                                                                   \
    z[(size_t)z##_length + (length)] = 0

int64_t linux_listxattrat(int32_t directory, const void *entry, size_t entry_length, void *names, size_t length) {
    ENTRY_PATH(path, directory, entry, entry_length);
    RETURN_CALL(int64_t, llistxattr(path, names, length));
}
int64_t linux_getxattrat(int32_t directory, const void *entry, size_t entry_length, const void *name, size_t length, void *value,
                         size_t value_length) {
    ENTRY_PATH(path, directory, entry, entry_length);
    TERMINATED(attribute, name, length);
    RETURN_CALL(int64_t, lgetxattr(path, attribute, value, value_length));
}
int32_t linux_setxattrat(int32_t directory, const void *entry, size_t entry_length, const void *name, size_t length,
                         const void *value, size_t value_length) {
    ENTRY_PATH(path, directory, entry, entry_length);
    TERMINATED(attribute, name, length);
    RETURN_CALL(int32_t, lsetxattr(path, attribute, value, value_length, 0));
}
int32_t linux_removexattrat(int32_t directory, const void *entry, size_t entry_length, const void *name, size_t length) {
    ENTRY_PATH(path, directory, entry, entry_length);
    TERMINATED(attribute, name, length);
    RETURN_CALL(int32_t, lremovexattr(path, attribute));
}

#define ACCOUNT_BYTES (64 << 10)

static int64_t copy_account_name(const char *name, void *buffer, size_t length) {
    size_t count = strlen(name);
    if (count > length) return -ERANGE;
    memcpy(buffer, name, count);
    return (int64_t)count;
}
int64_t linux_user_name(uint32_t uid, void *buffer, size_t length) {
    char *space = malloc(ACCOUNT_BYTES);
    if (!space) return -ENOMEM;
    struct passwd entry, *found = NULL;
    int result = getpwuid_r(uid, &entry, space, ACCOUNT_BYTES, &found);
    int64_t count = found ? copy_account_name(entry.pw_name, buffer, length) : -(int64_t)result;
    free(space);
    return count;
}
int64_t linux_group_name(uint32_t gid, void *buffer, size_t length) {
    // A group's record holds all its members, so a large one needs more room than its name.
    for (size_t bytes = ACCOUNT_BYTES;; bytes *= 4) {
        char *space = malloc(bytes);
        if (!space) return -ENOMEM;
        struct group entry, *found = NULL;
        int result = getgrgid_r(gid, &entry, space, bytes, &found);
        int64_t count = found ? copy_account_name(entry.gr_name, buffer, length) : -(int64_t)result;
        free(space);
        if (count != -ERANGE || found || bytes > (16 << 20)) return count;
    }
}
int64_t linux_user_id(const void *name, size_t length) {
    TERMINATED(account, name, length);
    char *space = malloc(ACCOUNT_BYTES);
    if (!space) return -ENOMEM;
    struct passwd entry, *found = NULL;
    int result = getpwnam_r(account, &entry, space, ACCOUNT_BYTES, &found);
    int64_t number = found ? (int64_t)entry.pw_uid : result ? -(int64_t)result : -ENOENT;
    free(space);
    return number;
}
int64_t linux_group_id(const void *name, size_t length) {
    TERMINATED(account, name, length);
    for (size_t bytes = ACCOUNT_BYTES;; bytes *= 4) {
        char *space = malloc(bytes);
        if (!space) return -ENOMEM;
        struct group entry, *found = NULL;
        int result = getgrnam_r(account, &entry, space, bytes, &found);
        int64_t number = found ? (int64_t)entry.gr_gid : result ? -(int64_t)result : -ENOENT;
        free(space);
        if (number != -ERANGE || bytes > (16 << 20)) return number;
    }
}
uint32_t linux_effective_uid(void) { return geteuid(); }
uint32_t linux_effective_gid(void) { return getegid(); }
int64_t linux_working_directory(void *buffer, size_t length) {
    return getcwd(buffer, length) ? (int64_t)strlen(buffer) : -errno;
}
uint64_t linux_makedev(uint32_t major, uint32_t minor) { return makedev(major, minor); }

int32_t linux_fstatfs(int32_t fd, struct linux_space *out) {
    struct statfs s;
    int result;
    do {
        result = fstatfs(fd, &s);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    uint64_t block = s.f_frsize > 0 ? (uint64_t)s.f_frsize : (uint64_t)s.f_bsize;
    out->total_bytes = block * s.f_blocks;
    out->free_bytes = block * s.f_bfree;
    out->available_bytes = block * s.f_bavail;
    out->free_inodes = s.f_ffree;
    out->type = (int64_t)s.f_type;
    return 0;
}

int64_t linux_raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    if (limit.rlim_cur != limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    }
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
}
uint64_t linux_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
void linux_expect_sleeping_threads(uint32_t count) {
    // PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS; Linux 6.16.
    prctl(78, 1, (unsigned long)count, 0, 0);
}
void linux_name_thread(const char *name) {
    char shortened[16];
    snprintf(shortened, sizeof shortened, "%s", name);
    pthread_setname_np(pthread_self(), shortened);
}
void linux_sleep_milliseconds(uint32_t milliseconds) {
    struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) == EINTR) {
    }
}
uint32_t linux_thread_id(void) { return (uint32_t)syscall(SYS_gettid); }
uint32_t linux_process_id(void) { return (uint32_t)getpid(); }
int32_t linux_compare(const void *a, const void *b, size_t length) { return length ? memcmp(a, b, length) : 0; }
size_t linux_length(const void *bytes, size_t length) { return length ? strnlen(bytes, length) : 0; }
int32_t linux_random(void *buffer, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t count = getrandom((char *)buffer + done, length - done, 0);
        if (count < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        done += (size_t)count;
    }
    return 0;
}

int32_t linux_become(uint32_t uid, uint32_t gid) {
    // The library's calls would change all threads.
    if (syscall(SYS_setgroups, 0, NULL) < 0) return -errno;
    if (syscall(SYS_setresgid, gid, gid, gid) < 0) return -errno;
    return syscall(SYS_setresuid, uid, uid, uid) < 0 ? -errno : 0;
}
int32_t linux_mount(const char *source, const char *target, const char *type, uint64_t flags, const char *options) {
    RETURN_CALL(int32_t, mount(source, target, type, flags, options));
}
int32_t linux_unmount(const char *target) { RETURN_CALL(int32_t, umount2(target, MNT_DETACH)); }
