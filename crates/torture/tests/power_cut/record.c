/* Records what a process writes below a folder and what of it is synced, so that the test can work out what a disk
 * would hold if the power failed at any moment.
 *
 * Loaded by LD_PRELOAD. RECORD_DIR is the folder, RECORD_LOG the file for the records: a `struct record`, then
 * `length` bytes. Files are told apart by their inode. Writes are recorded after they are done and syncs before, all
 * in one order, so a sync covers exactly the writes that stand before it. Names are recorded when their folder is
 * synced: its whole list. What is written through a memory map (SQLite's -shm) is not seen, and not needed after a
 * power failure.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NEW = 1, WRITE = 2, TRUNCATE = 3, SYNC = 4, FOLDER = 5 };

struct record {
    uint64_t kind, inode, offset, length;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *dir;

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* By its own name, so that the records do not record themselves. */
static ssize_t plain_write(int fd, const void *data, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, data, length);
}

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length > 0) {
        ssize_t written = plain_write(log_fd, at, length);
        if (written <= 0) abort();
        at += written;
        length -= written;
    }
}

static void record(uint64_t kind, int fd, uint64_t offset, const void *data, uint64_t length) {
    struct stat stat;
    if (fstat(fd, &stat)) abort();
    struct record head = {kind, stat.st_ino, offset, length};
    put(&head, sizeof head);
    put(data, length);
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

/* By its path, so that duplicates of a descriptor are known too. */
static int is_watched(int fd) {
    char path[4096];
    size_t length = dir ? strlen(dir) : 0;
    return length && path_of(fd, path, sizeof path) && !strncmp(path, dir, length) &&
           (path[length] == 0 || path[length] == '/');
}

__attribute__((constructor)) static void start(void) {
    dir = getenv("RECORD_DIR");
    const char *path = getenv("RECORD_LOG");
    if (dir && path) log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) abort();
}

static int opened(int fd, int flags) {
    struct stat stat;
    if (fd >= 0 && log_fd >= 0 && is_watched(fd) && (flags & (O_CREAT | O_TRUNC)) && !fstat(fd, &stat) && stat.st_size == 0) {
        pthread_mutex_lock(&lock);
        record(NEW, fd, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, #name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        return opened(real(path, flags, mode), flags); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(int, #name, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        return opened(real(at, path, flags, mode), flags); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *data, size_t length) {
    if (!is_watched(fd)) return plain_write(fd, data, length);
    pthread_mutex_lock(&lock);
    ssize_t written = plain_write(fd, data, length);
    if (written > 0) record(WRITE, fd, lseek(fd, 0, SEEK_CUR) - written, data, written);
    pthread_mutex_unlock(&lock);
    return written;
}

#define PWRITE(name) \
    ssize_t name(int fd, const void *data, size_t length, off_t offset) { \
        REAL(ssize_t, #name, int, const void *, size_t, off_t); \
        if (!is_watched(fd)) return real(fd, data, length, offset); \
        pthread_mutex_lock(&lock); \
        ssize_t written = real(fd, data, length, offset); \
        if (written > 0) record(WRITE, fd, offset, data, written); \
        pthread_mutex_unlock(&lock); \
        return written; \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    /* A short write is allowed, and one part is simple. */
    if (is_watched(fd) && count > 0) return write(fd, parts[0].iov_base, parts[0].iov_len);
    return real(fd, parts, count);
}

#define TRUNCATES(name) \
    int name(int fd, off_t length) { \
        REAL(int, #name, int, off_t); \
        if (!is_watched(fd)) return real(fd, length); \
        pthread_mutex_lock(&lock); \
        int failed = real(fd, length); \
        if (!failed) record(TRUNCATE, fd, length, NULL, 0); \
        pthread_mutex_unlock(&lock); \
        return failed; \
    }
TRUNCATES(ftruncate)
TRUNCATES(ftruncate64)

/* The names in a folder: inode, kind and name of each, in lines. */
static void record_folder(int fd) {
    char path[4096], list[1 << 16];
    size_t length = 0;
    DIR *folder = path_of(fd, path, sizeof path) ? opendir(path) : NULL;
    struct dirent *entry;
    if (!folder) abort();
    while ((entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        length += snprintf(list + length, sizeof list - length, "%llu %c %s\n", (unsigned long long)entry->d_ino,
                           entry->d_type == DT_DIR ? 'd' : 'f', entry->d_name);
        if (length >= sizeof list) abort();
    }
    closedir(folder);
    record(FOLDER, fd, 0, list, length);
}

#define SYNCS(name) \
    int name(int fd) { \
        REAL(int, #name, int); \
        struct stat stat; \
        if (is_watched(fd) && !fstat(fd, &stat)) { \
            pthread_mutex_lock(&lock); \
            if (S_ISDIR(stat.st_mode)) record_folder(fd); \
            else record(SYNC, fd, 0, NULL, 0); \
            pthread_mutex_unlock(&lock); \
        } \
        return real(fd); \
    }
SYNCS(fsync)
SYNCS(fdatasync)
