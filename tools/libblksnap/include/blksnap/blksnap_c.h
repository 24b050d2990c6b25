/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libblksnap for C and for languages that call C.
 *
 * Functions return 0, or a negative errno; blksnap_error() then has the line for a person. No
 * exception leaves them. A control may be used by several threads at once. Arrays that a function
 * allocates are released with blksnap_free().
 */
#ifndef BLKSNAP_C_H
#define BLKSNAP_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct blksnap_control;

struct blksnap_device {
	uint32_t major;
	uint32_t minor;
};

struct blksnap_id {
	uint8_t bytes[16];
};

/* In 512-byte sectors. */
struct blksnap_range {
	uint64_t offset;
	uint64_t count;
};

struct blksnap_tracker {
	struct blksnap_device device;
	uint32_t block_size_bytes;
	uint32_t block_count;
	uint64_t capacity_bytes;
	struct blksnap_id generation;
	uint8_t snapshot_number;
};

enum blksnap_event_kind {
	BLKSNAP_EVENT_LOW_FREE_SPACE = 0,
	BLKSNAP_EVENT_CORRUPTED = 1,
	BLKSNAP_EVENT_UNKNOWN = 2,
};

struct blksnap_event {
	enum blksnap_event_kind kind;
	int64_t time_ns;
	uint64_t requested_sectors;    /* of BLKSNAP_EVENT_LOW_FREE_SPACE */
	struct blksnap_device original; /* of BLKSNAP_EVENT_CORRUPTED */
	int error;			/* of BLKSNAP_EVENT_CORRUPTED, positive */
};

/* What went wrong last in this thread. Valid until the next call in this thread. */
const char *blksnap_error(void);

int blksnap_open(struct blksnap_control **control);
void blksnap_close(struct blksnap_control *control);
void blksnap_free(void *array);

/* @version: major, minor, revision, build */
int blksnap_version(struct blksnap_control *control, uint16_t version[4]);

/* @argument: a path, a mount point, UUID=, LABEL= or MAJOR:MINOR */
int blksnap_resolve_device(const char *argument, struct blksnap_device *device);

/* @text: room for 37 characters */
void blksnap_id_format(const struct blksnap_id *id, char text[37]);
int blksnap_id_parse(const char *text, struct blksnap_id *id);

int blksnap_snapshot_create(struct blksnap_control *control, const struct blksnap_device *devices,
			    size_t count, struct blksnap_id *id);
int blksnap_snapshot_append_ranges(struct blksnap_control *control, const struct blksnap_id *id,
				   const struct blksnap_device *device,
				   const struct blksnap_range *ranges, size_t count);
int blksnap_snapshot_append_file(struct blksnap_control *control, const struct blksnap_id *id,
				 const char *path);
int blksnap_snapshot_take(struct blksnap_control *control, const struct blksnap_id *id);
int blksnap_snapshot_destroy(struct blksnap_control *control, const struct blksnap_id *id);

/* @image: the image of @original; its path is /dev/blksnap-image<minor> */
int blksnap_snapshot_image(struct blksnap_control *control, const struct blksnap_id *id,
			   const struct blksnap_device *original, struct blksnap_device *image);

/* -ENOENT if the time is over, -EINTR on a signal, -ESRCH if there is no such snapshot. */
int blksnap_snapshot_wait_event(struct blksnap_control *control, const struct blksnap_id *id,
				uint32_t timeout_ms, struct blksnap_event *event);

/* -ENODATA if the device is not tracked. */
int blksnap_tracker_find(struct blksnap_control *control, const struct blksnap_device *device,
			 struct blksnap_tracker *tracker);
int blksnap_tracker_remove(struct blksnap_control *control, const struct blksnap_device *device);

/* What changed since snapshot number @since of the same generation. The ranges are allocated. */
int blksnap_tracker_changes(struct blksnap_control *control, const struct blksnap_device *device,
			    uint8_t since, struct blksnap_range **ranges, size_t *count);

#ifdef __cplusplus
}
#endif

#endif
