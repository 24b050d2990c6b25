// SPDX-License-Identifier: GPL-2.0
/*
 * Control device: /dev/blksnap, its class with the attribute `major`, and the way to the memory
 * and the rights of its callers. What an ioctl means is decided in the core alone.
 */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <blksnap/port/control.h>
#include "blksnap-features.h"
#include "chardev.h"

#define NODE_NAME "blksnap"

static int control_major;
static struct class *control_class;

static long control_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	return blksnap_control_ioctl(command, argument, 0);
}

#ifdef CONFIG_COMPAT
static long control_compat_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	return blksnap_control_ioctl(command, (unsigned long)compat_ptr(argument), 1);
}
#endif

static const struct file_operations control_operations = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = control_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = control_compat_ioctl,
#endif
};

/* Newer kernels never change a class through its attributes. */
#ifdef HAVE_CLASS_CONST
#define CLASS_CONST const
#else
#define CLASS_CONST
#endif

static ssize_t major_show(CLASS_CONST struct class *class,
			  CLASS_CONST struct class_attribute *attribute, char *buffer)
{
	return sysfs_emit(buffer, "%d\n", control_major);
}
static CLASS_ATTR_RO(major);

static char *control_devnode(CLASS_CONST struct device *device, umode_t *mode)
{
	if (mode)
		*mode = 0600;
	return NULL;
}

static int class_add(void)
{
	int error;

#ifdef HAVE_CLASS_WITHOUT_OWNER
	control_class = class_create(NODE_NAME);
#else
	control_class = class_create(THIS_MODULE, NODE_NAME);
#endif
	if (IS_ERR(control_class))
		return PTR_ERR(control_class);
	control_class->devnode = control_devnode;
	error = class_create_file(control_class, &class_attr_major);
	if (error)
		class_destroy(control_class);
	return error;
}

static void class_remove(void)
{
	class_remove_file(control_class, &class_attr_major);
	class_destroy(control_class);
}

int chardev_create(void)
{
	struct device *node;
	int error;

	control_major = register_chrdev(0, NODE_NAME, &control_operations);
	if (control_major < 0)
		return control_major;
	error = class_add();
	if (error)
		goto unregister;
	node = device_create(control_class, NULL, MKDEV(control_major, 0), NULL, NODE_NAME);
	if (!IS_ERR(node))
		return 0;
	error = PTR_ERR(node);
	class_remove();
unregister:
	unregister_chrdev(control_major, NODE_NAME);
	return error;
}

void chardev_destroy(void)
{
	device_destroy(control_class, MKDEV(control_major, 0));
	class_remove();
	unregister_chrdev(control_major, NODE_NAME);
}

/* --- the caller ---------------------------------------------------------------------------- */

int shim_user_read(void *to, shim_u64 user_address, size_t bytes)
{
	return copy_from_user(to, (const void __user *)user_address, bytes) ? -EFAULT : 0;
}

int shim_user_write(shim_u64 user_address, const void *from, size_t bytes)
{
	return copy_to_user((void __user *)user_address, from, bytes) ? -EFAULT : 0;
}

int shim_user_is_admin(void)
{
	return capable(CAP_SYS_ADMIN);
}
