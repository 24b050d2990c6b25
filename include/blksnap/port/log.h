/* SPDX-License-Identifier: GPL-2.0 */
/* Port: the log, and the end of the road. */
#ifndef BLKSNAP_PORT_LOG_H
#define BLKSNAP_PORT_LOG_H

#include <blksnap/port/base.h>

enum shim_log_level { SHIM_LOG_DEBUG, SHIM_LOG_INFO, SHIM_LOG_WARNING, SHIM_LOG_ERROR };

SHIM_BEGIN
/**
 * shim_log() - one line in the log; no newline at its end
 *
 * Only %s %d %u %x %llu %lld %llx %02x and widths of them are used by the core.
 * Context: any.
 */
void shim_log(enum shim_log_level level, const char *format, ...) SHIM_NOEXCEPT
	__attribute__((format(printf, 2, 3)));

/* A broken assertion. Does not return. Context: any. */
void shim_log_panic(const char *what, const char *file, int line) SHIM_NOEXCEPT;
SHIM_END

#endif
