// SPDX-License-Identifier: GPL-2.0
/* Clock and randomness of the control port. */
#include <linux/ktime.h>
#include <linux/random.h>
#include <blksnap/port/control.h>

shim_u64 shim_clock_ns(void)
{
	return ktime_get_ns();
}

void shim_random_fill(void *to, size_t bytes)
{
	get_random_bytes(to, bytes);
}
