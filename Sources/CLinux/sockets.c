// Sockets of the control channel.
#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// The address of a name in an open folder: by way of /proc, since a socket's path may have 107 bytes only.
static int address(struct sockaddr_un *out, int32_t directory, const void *name, size_t length) {
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    int head = snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/", directory);
    if (head < 0 || (size_t)head + length >= sizeof out->sun_path) return -ENAMETOOLONG;
    memcpy(out->sun_path + head, name, length);
    return 0;
}

static int32_t failed(int fd) {
    int error = errno;
    close(fd);
    return -error;
}

int32_t linux_unix_listen(int32_t directory, const void *name, size_t length, int32_t backlog) {
    struct sockaddr_un to;
    int result = address(&to, directory, name, length);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    // Before bind: the name is never there with other permissions.
    if (fchmod(fd, 0600) < 0) return failed(fd);
    unlink(to.sun_path);
    if (bind(fd, (struct sockaddr *)&to, sizeof to) < 0 || listen(fd, backlog) < 0) return failed(fd);
    return fd;
}

int32_t linux_unix_connect(int32_t directory, const void *name, size_t length) {
    struct sockaddr_un to;
    int result = address(&to, directory, name, length);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return failed(fd);
    return fd;
}

int32_t linux_accept(int32_t fd) {
    int result;
    do result = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    while (result < 0 && (errno == EINTR || errno == ECONNABORTED));
    return result < 0 ? -errno : result;
}

int64_t linux_peer_user(int32_t fd) {
    struct ucred who;
    socklen_t length = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0) return -errno;
    return who.uid;
}

int32_t linux_shutdown(int32_t fd) { return shutdown(fd, SHUT_RDWR) < 0 ? -errno : 0; }

int64_t linux_send(int32_t fd, const void *bytes, size_t length) {
    ssize_t count;
    do count = send(fd, bytes, length, MSG_NOSIGNAL);
    while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

int64_t linux_receive(int32_t fd, void *bytes, size_t length) {
    ssize_t count;
    do count = recv(fd, bytes, length, 0);
    while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

int32_t linux_notify(const void *path, size_t length, const void *message, size_t bytes) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (length < 2 || length >= sizeof to.sun_path) return -ENAMETOOLONG;
    memcpy(to.sun_path, path, length);
    // An abstract name begins with a zero byte, which the variable writes as `@`.
    if (to.sun_path[0] == '@') to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + length + (to.sun_path[0] ? 1 : 0);
    ssize_t sent = sendto(fd, message, bytes, MSG_NOSIGNAL, (struct sockaddr *)&to, size);
    if (sent < 0) return failed(fd);
    close(fd);
    return 0;
}
