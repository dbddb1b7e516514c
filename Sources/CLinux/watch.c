#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

const uint64_t linux_FAN_CREATE = FAN_CREATE, linux_FAN_DELETE = FAN_DELETE, linux_FAN_MOVED_FROM = FAN_MOVED_FROM,
               linux_FAN_MOVED_TO = FAN_MOVED_TO, linux_FAN_MOVE_SELF = FAN_MOVE_SELF, linux_FAN_ONDIR = FAN_ONDIR,
               linux_FAN_Q_OVERFLOW = FAN_Q_OVERFLOW;
const uint32_t linux_IN_CREATE = IN_CREATE, linux_IN_DELETE = IN_DELETE, linux_IN_MOVED_FROM = IN_MOVED_FROM,
               linux_IN_MOVED_TO = IN_MOVED_TO, linux_IN_MOVE_SELF = IN_MOVE_SELF, linux_IN_DELETE_SELF = IN_DELETE_SELF,
               linux_IN_ISDIR = IN_ISDIR, linux_IN_IGNORED = IN_IGNORED, linux_IN_UNMOUNT = IN_UNMOUNT,
               linux_IN_Q_OVERFLOW = IN_Q_OVERFLOW;

int32_t linux_fanotify(void) {
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME, O_RDONLY);
    return fd < 0 ? -errno : fd;
}

int32_t linux_fanotify_mark_filesystem(int32_t group, int32_t directory) {
    uint64_t events = FAN_CREATE | FAN_DELETE | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_MOVED_FROM | FAN_MOVED_TO |
                      FAN_MOVE_SELF | FAN_ONDIR;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", directory);
    return fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, events, AT_FDCWD, path) < 0 ? -errno : 0;
}

int32_t linux_open_by_handle(int32_t mount, int32_t type, const void *bytes, size_t length) {
    union {
        struct file_handle handle;
        char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } handle;
    if (length > MAX_HANDLE_SZ) return -EINVAL;
    handle.handle.handle_bytes = (unsigned)length;
    handle.handle.handle_type = type;
    memcpy(handle.handle.f_handle, bytes, length);
    int fd;
    do {
        fd = open_by_handle_at(mount, &handle.handle, O_PATH | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int64_t linux_descriptor_path(int32_t fd, void *path, size_t length) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t count = readlink(link, path, length);
    return count < 0 ? -errno : count;
}

int32_t linux_filesystem_id(int32_t fd, uint64_t *id) {
    struct statfs space;
    if (fstatfs(fd, &space) < 0) return -errno;
    memcpy(id, &space.f_fsid, sizeof *id);
    return 0;
}

int32_t linux_inotify(void) {
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int32_t linux_open_folder_directly(const void *path, size_t length) {
    char text[4096];
    if (length >= sizeof text) return -ENAMETOOLONG;
    memcpy(text, path, length);
    text[length] = 0;
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_NO_SYMLINKS};
    long fd;
    do {
        fd = syscall(SYS_openat2, AT_FDCWD, text, &how, sizeof how);
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd < 0 ? -errno : (int32_t)fd;
}

int32_t linux_inotify_add(int32_t inotify, int32_t directory) {
    uint32_t events = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |
                      IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", directory);
    int watch = inotify_add_watch(inotify, path, events);
    return watch < 0 ? -errno : watch;
}

int32_t linux_inotify_remove(int32_t inotify, int32_t watch) { return inotify_rm_watch(inotify, watch) < 0 ? -errno : 0; }

int32_t linux_poll_events(int32_t fd, int32_t mounts, int32_t milliseconds) {
    struct pollfd both[2] = {{.fd = fd, .events = POLLIN}, {.fd = mounts, .events = POLLPRI}};
    int count = poll(both, 2, milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    return (both[0].revents ? 1 : 0) | (both[1].revents & (POLLPRI | POLLERR) ? 2 : 0);
}

int32_t linux_pipe(int32_t *to_read, int32_t *to_write) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        return -error;
    }
    *to_read = ends[0];
    *to_write = ends[1];
    return 0;
}

int32_t linux_close_in_child(void *actions, int32_t first) {
    return -posix_spawn_file_actions_addclosefrom_np(actions, first);
}
