/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A snapshot through the C interface: its image, what changed before it, and its events, until Enter
 * is pressed.
 *
 *   c_api /dev/sda1 /dev/sdc 2048 2097152
 */
#include <blksnap/blksnap_c.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int complain(void)
{
	fprintf(stderr, "c_api: %s\n", blksnap_error());
	return 1;
}

/* Called from the thread of the session. */
static void report(const struct blksnap_event *event, void *context)
{
	const char *device = context;

	if (event->kind == BLKSNAP_EVENT_LOW_FREE_SPACE)
		printf("%s: storage for %" PRIu64 " sectors is wanted\n", device,
		       event->requested_sectors);
	if (event->kind == BLKSNAP_EVENT_CORRUPTED)
		printf("%s: the image is lost: error %d\n", device, event->error);
	fflush(stdout);
}

/*
 * The first time: all changes of this generation. A later backup gives the generation and the number
 * that it remembers, and copies the whole device if the answer is -ESTALE.
 */
static int print_changes(struct blksnap_control *control, const struct blksnap_device *device)
{
	struct blksnap_tracker tracker;
	struct blksnap_range *ranges;
	char text[BLKSNAP_ID_TEXT_SIZE];
	size_t count;

	if (blksnap_tracker_changes(control, device, NULL, 0, &ranges, &count, &tracker) != 0)
		return complain();
	for (size_t i = 0; i < count; i++)
		printf("changed: %" PRIu64 ":%" PRIu64 "\n", ranges[i].offset, ranges[i].count);
	blksnap_free(ranges);
	if (blksnap_id_format(&tracker.generation, text) != 0)
		return complain();
	printf("remember: number %u of generation %s\n", tracker.snapshot_number, text);
	return 0;
}

static int print_trackers(struct blksnap_control *control)
{
	struct blksnap_tracker *trackers;
	size_t count;

	if (blksnap_tracker_list(control, &trackers, &count) != 0)
		return complain();
	for (size_t i = 0; i < count; i++)
		printf("tracked: %" PRIu32 ":%" PRIu32 ", number %u\n", trackers[i].device.major,
		       trackers[i].device.minor, trackers[i].snapshot_number);
	blksnap_free(trackers);
	return 0;
}

static int hold(struct blksnap_control *control, struct blksnap_session *session,
		const struct blksnap_device *origin, const struct blksnap_device *storage,
		const struct blksnap_range *range)
{
	struct blksnap_device image;
	struct blksnap_id id;
	char text[BLKSNAP_ID_TEXT_SIZE];

	if (blksnap_session_append_ranges(session, storage, range, 1) != 0 ||
	    blksnap_session_take(session) != 0 ||
	    blksnap_session_image(session, origin, &image) != 0)
		return complain();
	blksnap_session_id(session, &id);
	if (blksnap_id_format(&id, text) != 0)
		return complain();
	if (print_trackers(control) != 0 || print_changes(control, origin) != 0)
		return 1;
	printf("snapshot %s: image /dev/blksnap-image%" PRIu32 "\n", text, image.minor);
	fflush(stdout);
	getchar();
	return 0;
}

int main(int argc, char **argv)
{
	struct blksnap_control *control;
	struct blksnap_session *session;
	struct blksnap_device origin, storage;
	struct blksnap_range range;
	int status;

	if (argc != 5) {
		fprintf(stderr, "usage: c_api DEVICE STORAGE-DEVICE SECTOR COUNT\n");
		return 1;
	}
	range.offset = strtoull(argv[3], NULL, 10);
	range.count = strtoull(argv[4], NULL, 10);
	if (blksnap_resolve_device(argv[1], &origin) != 0 ||
	    blksnap_resolve_device(argv[2], &storage) != 0 || blksnap_open(&control) != 0)
		return complain();
	if (blksnap_session_create(control, &origin, 1, report, argv[1], &session) == 0) {
		status = hold(control, session, &origin, &storage, &range);
		blksnap_session_destroy(session);
	} else {
		status = complain();
	}
	blksnap_close(control);
	return status;
}
