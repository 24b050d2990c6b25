/* SPDX-License-Identifier: GPL-2.0 */
/* Freezer: life of the helpers that freeze file systems. */
#ifndef BLKSNAP_KERNEL_FREEZER_H
#define BLKSNAP_KERNEL_FREEZER_H

/* Context: process. Return: 0, -ENOMEM. */
int freezer_create_queues(void);
/* Waits for helpers that are late. Context: process. */
void freezer_destroy_queues(void);

#endif
