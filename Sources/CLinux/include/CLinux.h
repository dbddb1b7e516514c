// System calls and constants that Swift's Glibc overlay does not import, in one form:
//
// - a result is zero or more, or a negated errno, so that no other call can overwrite the reason;
// - calls that a signal interrupted (EINTR) are made again;
// - names and paths are counted bytes without a terminating NUL: the copy that the kernel needs is made on the stack here,
//   longer ones than 4,095 bytes give -ENAMETOOLONG, and a NUL among the bytes gives -EINVAL.
#ifndef BAKARE_CLINUX_H
#define BAKARE_CLINUX_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// open flags (their values differ between processors)
extern const int32_t linux_O_RDONLY, linux_O_WRONLY, linux_O_RDWR, linux_O_CREAT, linux_O_EXCL, linux_O_TRUNC, linux_O_APPEND,
    linux_O_NONBLOCK, linux_O_DIRECTORY, linux_O_NOFOLLOW, linux_O_CLOEXEC, linux_O_NOATIME, linux_O_PATH, linux_O_TMPFILE,
    linux_O_DIRECT, linux_O_DSYNC, linux_O_SYNC, linux_O_NOCTTY;
// negated error numbers that callers tell apart
extern const int32_t linux_not_permitted, linux_would_block, linux_invalid, linux_no_such_address, linux_no_data, linux_too_large,
    linux_not_found, linux_exists, linux_no_system_call, linux_other_device, linux_too_many_links,
    linux_not_a_directory, linux_not_supported, linux_stale;
// *at flags
extern const int32_t linux_AT_FDCWD, linux_AT_SYMLINK_NOFOLLOW, linux_AT_REMOVEDIR, linux_AT_EMPTY_PATH, linux_AT_NO_AUTOMOUNT,
    linux_AT_SYMLINK_FOLLOW;
extern const uint32_t linux_RENAME_NOREPLACE, linux_RENAME_EXCHANGE;
extern const uint64_t linux_RESOLVE_BENEATH, linux_RESOLVE_NO_SYMLINKS, linux_RESOLVE_NO_MAGICLINKS, linux_RESOLVE_NO_XDEV,
    linux_RESOLVE_IN_ROOT;
// file types within a mode, and entry types of getdents64
extern const uint32_t linux_S_IFMT, linux_S_IFREG, linux_S_IFDIR, linux_S_IFLNK, linux_S_IFIFO, linux_S_IFSOCK, linux_S_IFCHR,
    linux_S_IFBLK;
extern const uint8_t linux_DT_UNKNOWN, linux_DT_REG, linux_DT_DIR, linux_DT_LNK, linux_DT_FIFO, linux_DT_SOCK, linux_DT_CHR,
    linux_DT_BLK;
extern const int32_t linux_SEEK_SET, linux_SEEK_DATA, linux_SEEK_HOLE;
extern const int32_t linux_FADV_NORMAL, linux_FADV_SEQUENTIAL, linux_FADV_RANDOM, linux_FADV_WILLNEED, linux_FADV_DONTNEED,
    linux_FADV_NOREUSE;
extern const uint32_t linux_SYNC_FILE_RANGE_WAIT_BEFORE, linux_SYNC_FILE_RANGE_WRITE, linux_SYNC_FILE_RANGE_WAIT_AFTER;

// What statx tells, as far as a backup needs it.
struct linux_status {
    uint64_t size;
    uint64_t blocks; // of 512 bytes
    uint64_t inode;
    uint64_t mount_id;
    uint64_t device;        // as makedev packs it
    uint64_t device_number; // what a device node stands for, packed likewise
    int64_t mtime_seconds;
    int64_t ctime_seconds;
    uint32_t mtime_nanoseconds;
    uint32_t ctime_nanoseconds;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint32_t links;
    uint8_t is_mount_root;
    uint8_t has_mount_id;
};

// With a length of 0 and AT_EMPTY_PATH: the descriptor itself.
int32_t linux_statx(int32_t directory, const void *name, size_t length, int32_t flags, struct linux_status *out);

int32_t linux_openat(int32_t directory, const void *name, size_t length, int32_t flags, uint32_t mode);
// -ENOSYS where the kernel has no openat2 (before 5.6) or a sandbox hides it.
int32_t linux_openat2(int32_t directory, const void *name, size_t length, int32_t flags, uint32_t mode, uint64_t resolve);
int32_t linux_close(int32_t fd);
int32_t linux_dup(int32_t fd);

// Entries as the kernel lays them out: inode u64, offset i64, record length u16, type u8, name, NUL.
int64_t linux_getdents64(int32_t fd, void *buffer, size_t length);
int64_t linux_seek(int32_t fd, int64_t offset, int32_t whence);
int64_t linux_readlinkat(int32_t directory, const void *name, size_t length, void *target, size_t target_length);

int64_t linux_read(int32_t fd, void *buffer, size_t length);
int64_t linux_write(int32_t fd, const void *buffer, size_t length);
int64_t linux_pread(int32_t fd, void *buffer, size_t length, int64_t offset);
int64_t linux_pwrite(int32_t fd, const void *buffer, size_t length, int64_t offset);
// Until `length` bytes are there or the file ends.
int64_t linux_pread_full(int32_t fd, void *buffer, size_t length, int64_t offset);
// Until all is written: 0 or -errno.
int32_t linux_pwrite_full(int32_t fd, const void *buffer, size_t length, int64_t offset);
// The same, but the bytes are not kept in the page cache afterwards, where the kernel (from 6.14 on) and the file system can do
// that. Writing begins at once, and waits for a disk that is far behind.
int64_t linux_pread_full_uncached(int32_t fd, void *buffer, size_t length, int64_t offset);
// Whether the page cache has none of these bytes: 1 or 0; -ENOSYS before Linux 6.5.
int32_t linux_is_uncached(int32_t fd, int64_t offset, size_t length);
// Opens the same file again, to be read round the page cache (O_DIRECT): offsets, lengths and addresses have to be aligned then.
int32_t linux_reopen_direct(int32_t fd);
int32_t linux_pwrite_full_uncached(int32_t fd, const void *buffer, size_t length, int64_t offset);
int64_t linux_copy_file_range(int32_t from, int64_t from_offset, int32_t to, int64_t to_offset, size_t length);
int32_t linux_ftruncate(int32_t fd, int64_t size);
// Makes a hole, keeping the size.
int32_t linux_punch_hole(int32_t fd, int64_t offset, int64_t length);
// Reserves space, without changing the size if `keep_size`.
int32_t linux_allocate(int32_t fd, int64_t offset, int64_t length, int32_t keep_size);
int32_t linux_fsync(int32_t fd);
int32_t linux_fdatasync(int32_t fd);
int32_t linux_syncfs(int32_t fd);
int32_t linux_sync_file_range(int32_t fd, int64_t offset, int64_t length, uint32_t flags);
int32_t linux_fadvise(int32_t fd, int64_t offset, int64_t length, int32_t advice);
int32_t linux_readahead(int32_t fd, int64_t offset, size_t length);
// LOCK_EX without waiting if `exclusive`, else LOCK_SH; -EWOULDBLOCK if taken.
int32_t linux_flock(int32_t fd, int32_t exclusive);

// Stream sockets with a name in an open folder; the name is made anew with mode 0600.
int32_t linux_unix_listen(int32_t directory, const void *name, size_t length, int32_t backlog);
int32_t linux_unix_connect(int32_t directory, const void *name, size_t length);
int32_t linux_accept(int32_t fd);
// One datagram to a named socket, as sd_notify(3) has it; an abstract name begins with `@`.
int32_t linux_notify(const void *path, size_t length, const void *message, size_t bytes);
// The user id at the other end.
int64_t linux_peer_user(int32_t fd);
int32_t linux_shutdown(int32_t fd);
int64_t linux_send(int32_t fd, const void *bytes, size_t length);
int64_t linux_receive(int32_t fd, void *bytes, size_t length);

int32_t linux_mkdirat(int32_t directory, const void *name, size_t length, uint32_t mode);
int32_t linux_mknodat(int32_t directory, const void *name, size_t length, uint32_t mode, uint64_t device_number);
int32_t linux_symlinkat(const void *target, size_t target_length, int32_t directory, const void *name, size_t length);
int32_t linux_linkat(int32_t from, const void *from_name, size_t from_length, int32_t to, const void *to_name, size_t to_length,
                     int32_t flags);
int32_t linux_unlinkat(int32_t directory, const void *name, size_t length, int32_t flags);
int32_t linux_renameat2(int32_t from, const void *from_name, size_t from_length, int32_t to, const void *to_name,
                        size_t to_length, uint32_t flags);
// Never follows a symlink. With a length of 0: the descriptor itself (O_PATH ones too).
int32_t linux_chown(int32_t directory, const void *name, size_t length, uint32_t uid, uint32_t gid);
int32_t linux_fchmod(int32_t fd, uint32_t mode);
// Never follows a symlink (there is no call for it before Linux 6.6, so by way of an O_PATH descriptor).
int32_t linux_chmod(int32_t directory, const void *name, size_t length, uint32_t mode);
// Modification time; the access time stays as it is. Never follows a symlink. With a length of 0: the descriptor itself.
int32_t linux_set_mtime(int32_t directory, const void *name, size_t length, int64_t seconds, uint32_t nanoseconds);

// Extended attributes of a descriptor that was opened for reading or writing.
int64_t linux_flistxattr(int32_t fd, void *names, size_t length);
int64_t linux_fgetxattr(int32_t fd, const void *name, size_t length, void *value, size_t value_length);
int32_t linux_fsetxattr(int32_t fd, const void *name, size_t length, const void *value, size_t value_length);
int32_t linux_fremovexattr(int32_t fd, const void *name, size_t length);
// The same of an entry of a directory, of any type, symlinks themselves included (by way of /proc/self/fd).
int64_t linux_listxattrat(int32_t directory, const void *entry, size_t entry_length, void *names, size_t length);
int64_t linux_getxattrat(int32_t directory, const void *entry, size_t entry_length, const void *name, size_t length, void *value,
                         size_t value_length);
int32_t linux_setxattrat(int32_t directory, const void *entry, size_t entry_length, const void *name, size_t length,
                         const void *value, size_t value_length);
int32_t linux_removexattrat(int32_t directory, const void *entry, size_t entry_length, const void *name, size_t length);

// The length of the name put into `buffer`, 0 if there is none.
int64_t linux_user_name(uint32_t uid, void *buffer, size_t length);
int64_t linux_group_name(uint32_t gid, void *buffer, size_t length);
// The number, or -ENOENT.
int64_t linux_user_id(const void *name, size_t length);
int64_t linux_group_id(const void *name, size_t length);
uint32_t linux_effective_uid(void);
uint32_t linux_effective_gid(void);
// The length of the path put into `buffer`.
int64_t linux_working_directory(void *buffer, size_t length);
uint64_t linux_makedev(uint32_t major, uint32_t minor);

// Total, free and available-to-this-user bytes, and free inodes, of a file system; its type.
struct linux_space {
    uint64_t total_bytes;
    uint64_t free_bytes;
    uint64_t available_bytes;
    uint64_t free_inodes;
    int64_t type;
};
int32_t linux_fstatfs(int32_t fd, struct linux_space *out);

// Sets the soft limit of open files to the hard one, and gives it.
int64_t linux_raise_open_files(void);
// Nanoseconds of CLOCK_MONOTONIC.
uint64_t linux_monotonic_nanoseconds(void);
// Names the calling thread, at most 15 bytes of it.
void linux_name_thread(const char *name);
// Asks the kernel to tell so many sleeping threads of this process apart, a power of two; older kernels do not do it by process.
void linux_expect_sleeping_threads(uint32_t count);
uint32_t linux_thread_id(void);
uint32_t linux_process_id(void);
// As memcmp, with nothing equal to nothing.
int32_t linux_compare(const void *a, const void *b, size_t length);
// How many bytes there are before a NUL, at most `length`.
size_t linux_length(const void *bytes, size_t length);
void linux_sleep_milliseconds(uint32_t milliseconds);
// Fills with random bytes from the kernel.
int32_t linux_random(void *buffer, size_t length);

// Events of the file system. A group of fanotify that tells of each the folder's handle and the entry's name: -EPERM without the
// right (CAP_SYS_ADMIN), -EINVAL or -ENOSYS where the kernel cannot.
extern const uint64_t linux_FAN_CREATE, linux_FAN_DELETE, linux_FAN_MOVED_FROM, linux_FAN_MOVED_TO, linux_FAN_MOVE_SELF,
    linux_FAN_ONDIR, linux_FAN_Q_OVERFLOW;
int32_t linux_fanotify(void);
// All of the file system that an open directory is in, for changes.
int32_t linux_fanotify_mark_filesystem(int32_t group, int32_t directory);
// What a handle stands for, by way of an open directory of a mount of its file system; opened as O_PATH.
int32_t linux_open_by_handle(int32_t mount, int32_t type, const void *bytes, size_t length);
// The length of an open file's path, as the kernel knows it now, put into `path`.
int64_t linux_descriptor_path(int32_t fd, void *path, size_t length);
// The number that events name the file system by.
int32_t linux_filesystem_id(int32_t fd, uint64_t *id);
extern const uint32_t linux_IN_CREATE, linux_IN_DELETE, linux_IN_MOVED_FROM, linux_IN_MOVED_TO, linux_IN_MOVE_SELF,
    linux_IN_DELETE_SELF, linux_IN_ISDIR, linux_IN_IGNORED, linux_IN_UNMOUNT, linux_IN_Q_OVERFLOW;
int32_t linux_inotify(void);
// A folder by an absolute path in which no component is a symlink.
int32_t linux_open_folder_directly(const void *path, size_t length);
// Watches an open folder for changes: the number of the watch, the same for the same folder.
int32_t linux_inotify_add(int32_t inotify, int32_t directory);
/// Closes every descriptor from `first` on in the child; `actions` is a `posix_spawn_file_actions_t`. glibc 2.34.
int32_t linux_close_in_child(void *actions, int32_t first);
// Both ends of a pipe, closed in programs that are started; the first does not wait when it is read.
int32_t linux_pipe(int32_t *to_read, int32_t *to_write);
int32_t linux_inotify_remove(int32_t inotify, int32_t watch);
// Waits for events on `fd` (1) or, where `mounts` is an open mountinfo, for changes of the mounts (2); 0 when time is up.
int32_t linux_poll_events(int32_t fd, int32_t mounts, int32_t milliseconds);

// Makes the calling thread alone another user, without further groups. For tests.
int32_t linux_become(uint32_t uid, uint32_t gid);
// mount(2) and umount2(2) with MNT_DETACH, for tests.
int32_t linux_mount(const char *source, const char *target, const char *type, uint64_t flags, const char *options);
int32_t linux_unmount(const char *target);
#endif
