// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters: names and defaults are part of the interface.
 *
 * Each has a range. A value outside of it is refused, at load as well as later, and the log
 * says what would be accepted. Reads and writes are single words; the core takes the values
 * anew whenever it makes something that depends on them.
 */
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <blksnap/port/control.h>

struct ranged {
	u64 value, minimum, maximum;
};

static int ranged_set(const char *text, const struct kernel_param *parameter)
{
	struct ranged *ranged = parameter->arg;
	u64 value;
	int error = kstrtou64(text, 0, &value);

	if (!error && value >= ranged->minimum && value <= ranged->maximum) {
		WRITE_ONCE(ranged->value, value);
		return 0;
	}
	pr_err(KBUILD_MODNAME ": parameter %s: '%.*s' is refused, it must be from %llu to %llu\n",
	       parameter->name, (int)min_t(size_t, strcspn(text, "\n"), 32), text, ranged->minimum,
	       ranged->maximum);
	return -EINVAL;
}

static int ranged_get(char *buffer, const struct kernel_param *parameter)
{
	struct ranged *ranged = parameter->arg;

	return sysfs_emit(buffer, "%llu\n", READ_ONCE(ranged->value));
}

static const struct kernel_param_ops ranged_operations = {
	.set = ranged_set,
	.get = ranged_get,
};

#define RANGED_PARAM(name, initial, lowest, highest, description)                                  \
	static struct ranged name = {.value = initial, .minimum = lowest, .maximum = highest};     \
	module_param_cb(name, &ranged_operations, &name, 0644);                                    \
	MODULE_PARM_DESC(name, description " (" #initial ", " #lowest " to " #highest ")")

RANGED_PARAM(tracking_block_minimum_shift, 16, 12, 26,
	     "Smallest tracking block, as a power of two of bytes");
RANGED_PARAM(tracking_block_maximum_count, 2097152, 1024, 134217728,
	     "Most tracking blocks of a device; above it the block doubles");
RANGED_PARAM(chunk_minimum_shift, 12, 12, 26,
	     "Accepted for compatibility, not used: copies are of 4 KiB blocks");
RANGED_PARAM(chunk_maximum_count, 2097152, 1024, 2147483647,
	     "Accepted for compatibility, not used: there is no such limit");
RANGED_PARAM(chunk_maximum_in_cache, 32, 1, 65536,
	     "Accepted for compatibility, not used: see cow_memory_limit_kib");
RANGED_PARAM(free_diff_buffer_pool_size, 128, 16, 65536, "Pages kept ready for copies, per device");
RANGED_PARAM(
	diff_storage_minimum, 2097152, 8, 1099511627776,
	"Sectors of diff storage that an event asks for, when half of the last portion is left");
RANGED_PARAM(storage_on_origin_after_take, 0, 0, 1,
	     "Accept diff storage on sectors of a snapshot that was taken already");
RANGED_PARAM(cow_memory_limit_kib, 32768, 1024, 67108864,
	     "KiB of copies not yet stored, per device");
RANGED_PARAM(cow_timeout_ms, 30000, 100, 3600000,
	     "Time without progress of copies after which an image is given up");
RANGED_PARAM(parked_limit, 1024, 1, 1048576, "Parked writes of a disk above which submitters wait");
RANGED_PARAM(freeze_timeout_ms, 60000, 100, 3600000,
	     "Time allowed for freezing file systems in a take");
RANGED_PARAM(drain_timeout_ms, 5000, 10, 3600000, "Time allowed for writes in flight in a take");

void shim_params_get(struct shim_params *params)
{
	*params = (struct shim_params){
		.tracking_block_minimum_shift = READ_ONCE(tracking_block_minimum_shift.value),
		.tracking_block_maximum_count = READ_ONCE(tracking_block_maximum_count.value),
		.chunk_minimum_shift = READ_ONCE(chunk_minimum_shift.value),
		.chunk_maximum_count = READ_ONCE(chunk_maximum_count.value),
		.chunk_maximum_in_cache = READ_ONCE(chunk_maximum_in_cache.value),
		.free_diff_buffer_pool_size = READ_ONCE(free_diff_buffer_pool_size.value),
		.diff_storage_minimum = READ_ONCE(diff_storage_minimum.value),
		.storage_on_origin_after_take = READ_ONCE(storage_on_origin_after_take.value),
		.cow_memory_limit_kib = READ_ONCE(cow_memory_limit_kib.value),
		.cow_timeout_ms = READ_ONCE(cow_timeout_ms.value),
		.parked_limit = READ_ONCE(parked_limit.value),
		.freeze_timeout_ms = READ_ONCE(freeze_timeout_ms.value),
		.drain_timeout_ms = READ_ONCE(drain_timeout_ms.value),
	};
}
