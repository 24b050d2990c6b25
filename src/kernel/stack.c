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
#include "stack.h"

/* Devices in a stack, and the length of their names. */
#define STACK_DEVICES 64
#define NAME_BYTES 48

/* The devices found, each once; the list is worked through while it grows. */
static struct {
	struct mutex lock; /* one question at a time */
	struct work_struct work;
	int (*find)(void);
	struct gendisk *upper, *lower;
	int answer;
	unsigned int count;
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

/* A request-based map of device mapper, as dm-multipath makes them, has a queue of its own and puts its
 * requests into the queues below it: no bio tells of them there. Such a map has a directory "mq". */
static int has_request_queue(const char *device)
{
	struct file *directory = open_directory("class/block/%s/mq", device);

	if (IS_ERR(directory))
		return PTR_ERR(directory) == -ENOENT ? 0 : PTR_ERR(directory);
	filp_close(directory, NULL);
	return 1;
}

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
		open_directory("class/block/%s/holders", dev_name(disk_to_dev(question.lower)));
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

static int look_for_lower(void)
{
	int error = add_lower_devices(dev_name(disk_to_dev(question.upper)));
	unsigned int i;

	for (i = 0; !error && !question.too_large && i < question.count; i++) {
		if (is_part_of(question.lower, question.names[i]))
			return 1;
		error = add_lower_devices(question.names[i]);
	}
	return question.too_large ? 1 : error;
}

/* --- the question -------------------------------------------------------------------------- */

static void answer(struct work_struct *work)
{
	question.count = 0;
	question.too_large = false;
	question.answer = question.find();
}

static int ask(int (*find)(void), struct gendisk *upper, struct gendisk *lower)
{
	int result;

	mutex_lock(&question.lock);
	question.find = find;
	question.upper = upper;
	question.lower = lower;
	/* Who asks has frozen nothing that a new worker could need. */
	schedule_work(&question.work);
	flush_work(&question.work);
	result = question.answer;
	mutex_unlock(&question.lock);
	return result;
}

int stack_reaches(struct gendisk *upper, struct gendisk *lower)
{
	return ask(look_for_lower, upper, lower);
}

int stack_sends_requests(struct gendisk *lower)
{
	return ask(look_for_requests, NULL, lower);
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
