/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libblksnap for C and for languages that call C.
 *
 * Functions return 0, or a negative errno; blksnap_error() then has the line for a person. No
 * exception leaves them. A control or a session may be used by several threads at once. Arrays that
 * a function allocates are released with blksnap_free(); they are never null, also if empty.
 */
#ifndef BLKSNAP_C_H
#define BLKSNAP_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct blksnap_control;
struct blksnap_session;

struct blksnap_device {
	uint32_t major;
	uint32_t minor;
};

/* Of a snapshot, or of a generation of change numbers. */
struct blksnap_id {
	uint8_t bytes[16];
};

/* Room for an id as text, with the null at its end. */
#define BLKSNAP_ID_TEXT_SIZE 37

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

/* The path of an image is /dev/blksnap-image<minor>. */
struct blksnap_image {
	struct blksnap_device original;
	struct blksnap_device image;
};

enum blksnap_event_kind {
	BLKSNAP_EVENT_LOW_FREE_SPACE = 0,
	BLKSNAP_EVENT_CORRUPTED = 1,
	BLKSNAP_EVENT_UNKNOWN = 2,
};

struct blksnap_event {
	enum blksnap_event_kind kind;
	int64_t time_ns;		/* of the monotonic clock */
	uint64_t requested_sectors;	/* of BLKSNAP_EVENT_LOW_FREE_SPACE */
	struct blksnap_device original; /* of BLKSNAP_EVENT_CORRUPTED */
	int error;			/* of BLKSNAP_EVENT_CORRUPTED, positive */
};

/* What went wrong last in this thread. Valid until the next call in this thread. */
const char *blksnap_error(void);

int blksnap_open(struct blksnap_control **control);
void blksnap_close(struct blksnap_control *control);
void blksnap_free(void *array);

/* @version: major, minor, revision, build of the module */
int blksnap_version(struct blksnap_control *control, uint16_t version[4]);

/* --- names -------------------------------------------------------------------------------- */

/* @argument: a path, a mount point, UUID=, LABEL=, PARTUUID=, PARTLABEL= or MAJOR:MINOR */
int blksnap_resolve_device(const char *argument, struct blksnap_device *device);

int blksnap_id_format(const struct blksnap_id *id, char text[BLKSNAP_ID_TEXT_SIZE]);
int blksnap_id_parse(const char *text, struct blksnap_id *id);

/* --- a snapshot that lives as long as its session ----------------------------------------- */

/* Called from the thread of the session. Must not end the session. */
typedef void (*blksnap_on_event)(const struct blksnap_event *event, void *context);

/* Creates the snapshot, not yet taken. @on_event may be null. The control may be closed before. */
int blksnap_session_create(struct blksnap_control *control, const struct blksnap_device *devices,
			   size_t count, blksnap_on_event on_event, void *context,
			   struct blksnap_session **session);
/* Destroys the snapshot; after its return no event comes any more. */
void blksnap_session_destroy(struct blksnap_session *session);
void blksnap_session_id(const struct blksnap_session *session, struct blksnap_id *id);
int blksnap_session_append_ranges(struct blksnap_session *session,
				  const struct blksnap_device *device,
				  const struct blksnap_range *ranges, size_t count);
/* As blksnap_snapshot_append_file(). */
int blksnap_session_append_file(struct blksnap_session *session, const char *path);
int blksnap_session_take(struct blksnap_session *session);
int blksnap_session_image(const struct blksnap_session *session,
			  const struct blksnap_device *original, struct blksnap_device *image);

/* --- snapshots by their id, whoever made them --------------------------------------------- */

int blksnap_snapshot_create(struct blksnap_control *control, const struct blksnap_device *devices,
			    size_t count, struct blksnap_id *id);
int blksnap_snapshot_append_ranges(struct blksnap_control *control, const struct blksnap_id *id,
				   const struct blksnap_device *device,
				   const struct blksnap_range *ranges, size_t count);
/*
 * All sectors of the file, which must stay as it is until the snapshot is destroyed. -ENODATA, and
 * nothing is appended, if not the whole of it is allocated, as by fallocate(): holes are no storage.
 */
int blksnap_snapshot_append_file(struct blksnap_control *control, const struct blksnap_id *id,
				 const char *path);
int blksnap_snapshot_take(struct blksnap_control *control, const struct blksnap_id *id);
int blksnap_snapshot_destroy(struct blksnap_control *control, const struct blksnap_id *id);

/* The list is allocated. */
int blksnap_snapshot_list(struct blksnap_control *control, struct blksnap_id **ids, size_t *count);

/* The list is allocated. -ENODEV if the snapshot is not taken yet. */
int blksnap_snapshot_images(struct blksnap_control *control, const struct blksnap_id *id,
			    struct blksnap_image **images, size_t *count);

/* @image: the image of @original */
int blksnap_snapshot_image(struct blksnap_control *control, const struct blksnap_id *id,
			   const struct blksnap_device *original, struct blksnap_device *image);

/* -ENOENT if the time is over, -EINTR on a signal, -ESRCH if there is no such snapshot. */
int blksnap_snapshot_wait_event(struct blksnap_control *control, const struct blksnap_id *id,
				uint32_t timeout_ms, struct blksnap_event *event);

/* --- trackers ----------------------------------------------------------------------------- */

/* The list is allocated. */
int blksnap_tracker_list(struct blksnap_control *control, struct blksnap_tracker **trackers,
			 size_t *count);

/* -ENODATA if the device is not tracked. */
int blksnap_tracker_find(struct blksnap_control *control, const struct blksnap_device *device,
			 struct blksnap_tracker *tracker);
int blksnap_tracker_remove(struct blksnap_control *control, const struct blksnap_device *device);

/* Has the ranges of an original device, or of an image, reported as changed. All or none. */
int blksnap_tracker_mark_dirty(struct blksnap_control *control, const struct blksnap_device *device,
			       const struct blksnap_range *ranges, size_t count);

/*
 * What to copy for who saw snapshot number @since of @generation at the last backup. The ranges are
 * allocated. -ESTALE if the map is of another generation: everything has to be copied. -EAGAIN if
 * the snapshot that holds the device became another one meanwhile.
 *
 * @generation: null if the caller compares it with that of @tracker; then only an @since that this
 *              generation has not come to is -ESTALE
 * @tracker: what to remember for the next backup, its generation and number, also after -ESTALE;
 *           may be null
 */
int blksnap_tracker_changes(struct blksnap_control *control, const struct blksnap_device *device,
			    const struct blksnap_id *generation, uint8_t since,
			    struct blksnap_range **ranges, size_t *count,
			    struct blksnap_tracker *tracker);

#ifdef __cplusplus
}
#endif

#endif
