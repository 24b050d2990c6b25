// SPDX-License-Identifier: GPL-2.0
//
// A plugin of the emulator: how often the instructions at each address of the guest's kernel were executed.
//
// The emulator translates the guest's code in blocks without branches; each block gets a counter, found by
// the address of its first instruction, to which the number of its instructions is added when it is executed.
// Nothing is sampled, and the guest does not notice. User space shares one counter.
//
// Between the marks of mark.h counters are kept; at each end they are written to OUT.1, OUT.2 ... as lines
// "ADDRESS COUNT". Argument: out=PATH. For one virtual CPU.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mark.h"
#include "qemu_plugin.h"

#define EXPORT __attribute__((visibility("default")))

enum { kSlots = 1 << 20 };
static const uint64_t kUserSpace = 0; // Stands for all addresses of the lower half.

EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static struct qemu_plugin_scoreboard *counters;
static uint64_t addresses[kSlots]; // A hash table with open addressing; slot 0 is user space.
static size_t used;
static char out[4096];
static unsigned int dumps;

static qemu_plugin_u64 counter_of(size_t slot)
{
	return (qemu_plugin_u64){.score = counters, .offset = slot * sizeof(uint64_t)};
}

static size_t slot_of(uint64_t address)
{
	size_t slot = (address * 0x9e3779b97f4a7c15u) >> 44;

	if (!(address >> 63))
		return kUserSpace;
	while (slot == kUserSpace || (addresses[slot] && addresses[slot] != address))
		slot = (slot + 1) % kSlots;
	if (!addresses[slot] && ++used > kSlots / 2) {
		fprintf(stderr, "count: more code than there are counters\n");
		abort();
	}
	addresses[slot] = address;
	return slot;
}

static void on_begin(unsigned int cpu, void *data)
{
	(void)data;
	qemu_plugin_u64_set(counter_of(kUserSpace), cpu, 0);
	for (size_t slot = 1; slot < kSlots; slot++)
		if (addresses[slot])
			qemu_plugin_u64_set(counter_of(slot), cpu, 0);
}

static void on_end(unsigned int cpu, void *data)
{
	char path[sizeof(out) + 16];
	FILE *file;

	(void)cpu;
	(void)data;
	snprintf(path, sizeof(path), "%s.%u", out, ++dumps);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		return;
	}
	for (size_t slot = 0; slot < kSlots; slot++) {
		uint64_t count = slot == kUserSpace || addresses[slot]
					 ? qemu_plugin_u64_sum(counter_of(slot))
					 : 0;

		if (count)
			fprintf(file, "%" PRIx64 " %" PRIu64 "\n", addresses[slot], count);
	}
	fclose(file);
}

static void look_for_mark(struct qemu_plugin_insn *insn)
{
	static const uint8_t opcode[] = {MARK_BYTES};
	uint8_t bytes[sizeof(opcode) + sizeof(uint32_t)];
	uint32_t operand;

	if (qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) != sizeof(bytes) ||
	    memcmp(bytes, opcode, sizeof(opcode)) != 0)
		return;
	memcpy(&operand, bytes + sizeof(opcode), sizeof(operand));
	if (operand == MARK_BEGIN)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_begin, QEMU_PLUGIN_CB_NO_REGS,
						       NULL);
	if (operand == MARK_END)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_end, QEMU_PLUGIN_CB_NO_REGS, NULL);
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t length = qemu_plugin_tb_n_insns(tb);
	uint64_t address = qemu_plugin_tb_vaddr(tb);

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64,
							  counter_of(slot_of(address)), length);
	// Marks are in programs only.
	if (!(address >> 63))
		for (size_t i = 0; i < length; i++)
			look_for_mark(qemu_plugin_tb_get_insn(tb, i));
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || strlen(argv[0] + 4) >= sizeof(out)) {
		fprintf(stderr, "count: needs out=PATH\n");
		return -1;
	}
	strcpy(out, argv[0] + 4);
	counters = qemu_plugin_scoreboard_new(kSlots * sizeof(uint64_t));
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
	return 0;
}
