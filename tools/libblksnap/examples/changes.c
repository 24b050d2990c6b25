/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What changed on a device since a snapshot number, through the C interface.
 *
 *   changes /dev/sda1 3
 */
#include <blksnap/blksnap_c.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int complain(void)
{
	fprintf(stderr, "changes: %s\n", blksnap_error());
	return 1;
}

static int print_changes(struct blksnap_control *control, const struct blksnap_device *device,
			 uint8_t since)
{
	struct blksnap_range *ranges;
	size_t count;

	if (blksnap_tracker_changes(control, device, since, &ranges, &count) != 0)
		return complain();
	for (size_t i = 0; i < count; i++)
		printf("%" PRIu64 ":%" PRIu64 "\n", ranges[i].offset, ranges[i].count);
	blksnap_free(ranges);
	return 0;
}

int main(int argc, char **argv)
{
	struct blksnap_control *control;
	struct blksnap_device device;
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: changes DEVICE SINCE\n");
		return 1;
	}
	if (blksnap_resolve_device(argv[1], &device) != 0 || blksnap_open(&control) != 0)
		return complain();
	status = print_changes(control, &device, (uint8_t)atoi(argv[2]));
	blksnap_close(control);
	return status;
}
