/* SPDX-License-Identifier: GPL-2.0 */
/* Work: what other parts of the backend need to know about deferred work. */
#ifndef BLKSNAP_KERNEL_WORK_H
#define BLKSNAP_KERNEL_WORK_H

#include <linux/types.h>

/**
 * work_runs_here() - is the caller one of the module's own works?
 *
 * Such a caller must not wait for parked bios to leave: it may be the one that lets them go.
 * Context: any.
 */
bool work_runs_here(void);

#endif
