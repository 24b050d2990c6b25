// SPDX-License-Identifier: GPL-2.0
/*
 * Log port: lines of the core go to the kernel's log, a broken assertion to BUG().
 *
 * Those for debugging are printed when dynamic debug asks for them:
 *
 *   echo module blksnap +p >/sys/kernel/debug/dynamic_debug/control
 */
#include <linux/bug.h>
#include <linux/printk.h>
#include <blksnap/port/log.h>

void shim_log(enum shim_log_level level, const char *format, ...)
{
	static const char *const prefixes[] = {
		[SHIM_LOG_INFO] = KERN_INFO,
		[SHIM_LOG_WARNING] = KERN_WARNING,
		[SHIM_LOG_ERROR] = KERN_ERR,
	};
	struct va_format line = {.fmt = format};
	va_list arguments;

	va_start(arguments, format);
	line.va = &arguments;
	if (level == SHIM_LOG_DEBUG)
		pr_debug(KBUILD_MODNAME ": %pV\n", &line);
	else
		printk("%s" KBUILD_MODNAME ": %pV\n", prefixes[level], &line);
	va_end(arguments);
}

void shim_log_panic(const char *what, const char *file, int line)
{
	pr_emerg(KBUILD_MODNAME ": assertion failed: %s at %s:%d\n", what, file, line);
	BUG();
}
