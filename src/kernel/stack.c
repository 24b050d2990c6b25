// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks of block devices, as sysfs shows them: the directory "slaves" of a disk has a link for each
 * device that it stands on.
 *
 * The lists behind these links are private to the block layer, and so is the lock that guards them
 * (block/holder.c): a table of dm that is exchanged frees what a reader of the list looks at. So
 * the directory is read instead. It is read by a worker, on a mount of our own, because the program
 * that asks may live where there is no /sys, or where it may not look into it.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include "bdev.h"
#include "stack.h"

/* Devices in a stack, and the length of their names. */
#define STACK_DEVICES 64
#define NAME_BYTES 48

/* The devices found, each once; the list is worked through while it grows. */
static struct {
	struct mutex lock; /* one question at a time */
	struct work_struct work;
	int (*find)(void);
	struct gendisk *disk; /* which it is about */
	struct shim_bdev *const *lowers;
	unsigned int lower_count;
	int answer;
	unsigned int count, links;
	bool too_large;
	char names[STACK_DEVICES][NAME_BYTES];
} question = {.lock = __MUTEX_INITIALIZER(question.lock)};

static struct vfsmount *sysfs;

/* --- one directory ------------------------------------------------------------------------- */

static bool is_known(const char *name)
{
	unsigned int i;

	for (i = 0; i < question.count; i++)
		if (!strcmp(question.names[i], name))
			return true;
	return false;
}

static bool add_name(struct dir_context *context, const char *name, int length, loff_t offset,
		     u64 inode, unsigned int type)
{
	char text[NAME_BYTES];

	if (type != DT_LNK)
		return true;
	question.links++;
	if (length >= NAME_BYTES || question.count == STACK_DEVICES) {
		question.too_large = true;
		return false;
	}
	memcpy(text, name, length);
	text[length] = '\0';
	if (!is_known(text))
		strcpy(question.names[question.count++], text);
	return true;
}

static struct file *open_directory(const char *format, const char *device)
{
	struct path root = {.mnt = sysfs, .dentry = sysfs->mnt_root};
	char path[NAME_BYTES + 32];

	snprintf(path, sizeof(path), format, device);
	return file_open_root(&root, path, O_RDONLY | O_DIRECTORY, 0);
}

static int add_names_of(struct file *directory)
{
	struct dir_context context = {.actor = add_name};

	return iterate_dir(directory, &context);
}

static int add_names_in(const char *format, const char *device)
{
	struct file *directory = open_directory(format, device);
	int error;

	if (IS_ERR(directory))
		return PTR_ERR(directory);
	error = add_names_of(directory);
	filp_close(directory, NULL);
	return error;
}

/* A partition has no such directory, its disk has. A device that is gone has none below it. */
static int add_lower_devices(const char *device)
{
	int error = add_names_in("class/block/%s/slaves", device);

	if (error == -ENOENT)
		error = add_names_in("class/block/%s/../slaves", device);
	return error == -ENOENT ? 0 : error;
}

static int has_directory(const char *format, const char *device)
{
	struct file *directory = open_directory(format, device);

	if (IS_ERR(directory))
		return PTR_ERR(directory) == -ENOENT ? 0 : PTR_ERR(directory);
	filp_close(directory, NULL);
	return 1;
}

static int has_request_queue(const char *device)
{
	int has = has_directory("class/block/%s/mq", device);

	return has ? has : has_directory("class/block/%s/../mq", device);
}

/* A request-based map of device mapper, as dm-multipath makes them, has a queue of its own and puts its
 * requests into the queues below it: no bio tells of them there. */
static int look_among_names(void)
{
	int found = 0;
	unsigned int i;

	for (i = 0; !found && i < question.count; i++)
		if (!strncmp(question.names[i], "dm-", 3))
			found = has_request_queue(question.names[i]);
	return found;
}

/* A disk may carry any number of volumes: some at a time. */
static int look_for_requests(void)
{
	struct file *holders =
		open_directory("class/block/%s/holders", dev_name(disk_to_dev(question.disk)));
	int found;

	if (IS_ERR(holders))
		return PTR_ERR(holders) == -ENOENT ? 0 : PTR_ERR(holders);
	do {
		question.count = 0;
		question.too_large = false;
		found = add_names_of(holders);
		if (!found)
			found = look_among_names();
	} while (!found && question.too_large && question.count);
	filp_close(holders, NULL);
	return found;
}

/* --- what it stands on --------------------------------------------------------------------- */

/* The name of the device itself is freed without a grace period. */
static bool is_called(struct block_device *bdev, const char *name)
{
	char own[NAME_BYTES];
	char *c;

	snprintf(own, sizeof(own), "%pg", bdev);
	for (c = own; *c; c++)
		if (*c == '/')
			*c = '!'; /* as directories have it */
	return !strcmp(own, name);
}

static bool is_part_of(struct gendisk *disk, const char *name)
{
	struct block_device *part;
	unsigned long number;
	bool found = false;

	rcu_read_lock();
	xa_for_each(&disk->part_tbl, number, part)
		found |= is_called(part, name);
	rcu_read_unlock();
	return found;
}

/* Of a device that shows nothing below it: are there perhaps files, programs or disks? A disk with a
 * queue of requests is the end, but for some drivers. Others may hand on what they take; nvme does so
 * where several paths lead to one disk. */
static int may_hide_others(const char *device)
{
	static const char *const hiding[] = {"loop", "nbd", "ublk"};
	unsigned int i;
	int queue;

	for (i = 0; i < ARRAY_SIZE(hiding); i++)
		if (!strncmp(device, hiding[i], strlen(hiding[i])))
			return 1;
	if (!strncmp(device, "nvme", 4))
		return 0;
	queue = has_request_queue(device);
	return queue < 0 ? queue : !queue;
}

/* Return: 1 if there may be more than what is shown, 0, or -errno. */
static int add_lower_devices_or_hidden(const char *device)
{
	unsigned int links = question.links;
	int error = add_lower_devices(device);

	return error || question.links > links ? error : may_hide_others(device);
}

/* Return: 1 if it is taken to stand on everything, 0, or -errno. */
static int look_below(int (*add)(const char *device))
{
	int result = add(dev_name(disk_to_dev(question.disk)));
	unsigned int i;

	for (i = 0; !result && !question.too_large && i < question.count; i++)
		result = add(question.names[i]);
	return question.too_large ? 1 : result;
}

static bool is_below(struct gendisk *lower)
{
	unsigned int i;

	for (i = 0; i < question.count; i++)
		if (is_part_of(lower, question.names[i]))
			return true;
	return false;
}

static int look_for_lower(void)
{
	int result = look_below(add_lower_devices);

	return result ? result : is_below(question.lowers[0]->bdev->bd_disk);
}

static int look_for_first_lower(void)
{
	unsigned int i = 0;

	if (!look_below(add_lower_devices_or_hidden))
		while (i < question.lower_count && !is_below(question.lowers[i]->bdev->bd_disk))
			i++;
	return i;
}

/* --- the question -------------------------------------------------------------------------- */

static void answer(struct work_struct *work)
{
	question.count = 0;
	question.links = 0;
	question.too_large = false;
	question.answer = question.find();
}

static int ask(int (*find)(void), struct gendisk *disk, struct shim_bdev *const *lowers,
	       unsigned int lower_count)
{
	int result;

	mutex_lock(&question.lock);
	question.find = find;
	question.disk = disk;
	question.lowers = lowers;
	question.lower_count = lower_count;
	/* Who asks has frozen nothing that a new worker could need. */
	schedule_work(&question.work);
	flush_work(&question.work);
	result = question.answer;
	mutex_unlock(&question.lock);
	return result;
}

int stack_reaches(struct gendisk *upper, struct shim_bdev *lower)
{
	return ask(look_for_lower, upper, &lower, 1);
}

unsigned int stack_first_below(struct gendisk *upper, struct shim_bdev *const *lowers,
			       unsigned int count)
{
	return ask(look_for_first_lower, upper, lowers, count);
}

int stack_sends_requests(struct gendisk *lower)
{
	return ask(look_for_requests, lower, NULL, 0);
}

int stack_init(void)
{
	struct file_system_type *type = get_fs_type("sysfs");

	if (!type)
		return -ENODEV;
	INIT_WORK(&question.work, answer);
	sysfs = kern_mount(type);
	return PTR_ERR_OR_ZERO(sysfs);
}

void stack_exit(void)
{
	kern_unmount(sysfs);
}
