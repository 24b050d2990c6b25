// SPDX-License-Identifier: GPL-2.0
//
// Device: a block device of the simulated machine.
//
// A disk holds one 64-bit stamp per sector instead of 512 bytes. A stamp names the write that left
// it and the place it belongs to, so a sector in a wrong place is as visible as an old one. The
// other kinds hold no data: they map onto a lower device in the ways in which real drivers do.
#pragma once

#include <string>
#include <vector>
#include <world/random.hpp>

struct bio;

namespace sim
{

enum class DeviceKind : u8 {
	Disk,	   // request based, holds data
	Partition, // a range of a disk; remapped by the block layer itself
	Linear,	   // like dm: clones the bio down, can be suspended
	Remap,	   // like md-linear: sends the same bio object to another disk
	Image,	   // one of blksnap's
};

// What may go wrong on a disk, in permille of requests.
struct DiskFaults {
	u32 read_permille = 0;
	u32 write_permille = 0;
};

struct Device {
	DeviceKind kind = DeviceKind::Disk;
	u32 id = 0; // index in the world
	u32 major = 0;
	u32 minor = 0;
	std::string name;
	u64 sectors = 0;
	Device *lower = nullptr;
	u64 lower_start = 0; // of this device on the lower one
	u64 diskseq = 1;
	u64 changed = 0;     // order number of the last change of size or medium
	u64 exchanged = 0;   // order number of the last change of the medium
	bool shrunk = false; // was larger at some time
	bool spoilt = false; // somebody waits for the change to be noticed
	u32 block_bytes = 512;
	int untrackable = 0;
	int unstorable = 0;
	bool removed = false;
	bool visible_stack = true; // the kernel can tell what this device stands on
	bool has_fs = false;

	// Disk
	std::vector<u64> content; // also of what a shrink has cut off
	DiskFaults faults;
	u32 max_sectors = 0;	    // larger requests are split; 0: never
	bool resubmits_rest = true; // the remainder of a split passes the hook again (6.1)
	bool supports_discard = true;
	bool supports_zeroes = true;
	u32 latency_us = 0;
	bool hung = false;
	u64 resumed = 0;	   // order number of when it last answered again
	bool opens_slowly = false; // somebody holds what an open needs
	std::vector<bio *> stuck;
	u64 writes_in_flight = 0;

	// Linear
	bool suspended = false;
	std::vector<bio *> deferred;

	// Image
	void *image = nullptr;
	u32 inside = 0; // tasks inside blksnap_image_submit()

	// File system
	u32 frozen = 0;
	u32 fs_writes = 0; // in flight

	u32 opens = 0;
	u32 lookups = 0; // to be opened; some find what is just being replaced

	// The gendisk: a partition's is its disk, everything else is its own.
	Device *whole() { return kind == DeviceKind::Partition ? lower : this; }
	// The disk at the bottom, and where this device begins on it.
	Device *bottom()
	{
		Device *device = this;
		while (device->lower)
			device = device->lower;
		return device;
	}
	u64 bottom_start() const
	{
		u64 start = 0;
		for (const Device *device = this; device->lower; device = device->lower)
			start += device->lower_start;
		return start;
	}
	bool gone()
	{
		for (Device *device = this; device; device = device->lower)
			if (device->removed)
				return true;
		return false;
	}
};

} // namespace sim
