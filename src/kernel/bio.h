/* SPDX-License-Identifier: GPL-2.0 */
/* Bios: life of the pools behind the bio port. */
#ifndef BLKSNAP_KERNEL_BIO_H
#define BLKSNAP_KERNEL_BIO_H

/* Makes the pools. Context: process. Return: 0, -ENOMEM. */
int bio_pools_create(void);
/* Every completion that has begun has left our text when this returns. Context: process. */
void bio_wait_for_completions(void);
/* No own bio may be left, and no completion may be running. Context: process. */
void bio_pools_destroy(void);

#endif
