/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Port: deferred work, one thread of execution each.
 *
 * A shim_work never runs twice at once and runs at least once after each queue call. Each has
 * an execution resource of its own (a workqueue with a rescuer in the kernel): a work that
 * sleeps in the block layer holds up nobody else, and memory pressure cannot stop it.
 */
#ifndef BLKSNAP_PORT_WORK_H
#define BLKSNAP_PORT_WORK_H

#include <blksnap/port/base.h>

enum shim_work_kind {
	SHIM_WORK_RELEASE, /* owner is a Disk: parked bios go on to the origin */
	SHIM_WORK_COPY,	   /* owner is a DiffArea: reads of old blocks are submitted */
	SHIM_WORK_STORE,   /* owner is a DiffStorage: copies are written out */
	SHIM_WORK_IMAGE,   /* owner is an Image: requests that need a thread */
	SHIM_WORK_WATCH,   /* owner is a Snapshot: looks for writes that wait in vain, delayed */
	SHIM_WORK_SWEEP,   /* owner is the Control: liveness of tracked devices, delayed */
};
#define SHIM_WORK_KINDS (SHIM_WORK_SWEEP + 1)

struct shim_work;

SHIM_BEGIN
/* @name appears in process lists. Context: process. Return: NULL if memory is short. */
struct shim_work *shim_work_create(enum shim_work_kind kind, void *owner,
				   const char *name) SHIM_NOEXCEPT;
/* Runs it as soon as possible, also if it was queued with a delay. Context: any. */
void shim_work_queue(struct shim_work *work) SHIM_NOEXCEPT;
/* Runs it once after @delay_ms, unless it is queued already. Context: any. */
void shim_work_queue_delayed(struct shim_work *work, shim_u32 delay_ms) SHIM_NOEXCEPT;
/* Waits for a running and a queued run, cancels a delayed one. Nobody else may queue any more;
 * a run that queues itself again, delayed, is cancelled too. Context: process. */
void shim_work_destroy(struct shim_work *work) SHIM_NOEXCEPT;

/* The core's side. The backend plugs the block layer around it (without plug->nowait).
 * Context: process, memory allocation without I/O (memalloc_noio). */
void blksnap_work_run(enum shim_work_kind kind, void *owner) SHIM_NOEXCEPT;
SHIM_END

#endif
