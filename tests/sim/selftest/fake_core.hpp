// SPDX-License-Identifier: GPL-2.0
//
// FakeCore: a core so simple that it is obviously right, and ways to make it wrong.
//
// It copies whole devices while their gates are closed. With a fault switched on, the simulator
// must say which property is broken; without, it must be content.
#pragma once

#include <blksnap/port/bdev.h>
#include <blksnap/port/bio.h>
#include <blksnap/port/image.h>
#include <blksnap/port/lock.h>
#include <blksnap/port/work.h>
#include <blksnap.h>
#include <deque>
#include <memory>
#include <vector>

namespace fake
{

enum class Fault {
	None,
	NoGate,	     // the copy is made while writes go on
	Forgets,     // a parked write is never released
	EndsTwice,   // a write is completed and passed on as well
	Swallows,    // a write is completed and not passed on
	FailsWrites, // a write is answered with an error
	LeaksPage,
	SleepsInHook,
	LocksInverted,
	BlindMap,	 // the CBT map says that nothing changed
	LosesImage,	 // image reads give an error
	WorkEndsItself,	 // a work drops the last reference to what owns it
	LosesAfterError, // likewise, from when a read of its device has failed in an earlier take on
	DropsImageWrites,
	RevivesImage, // one that is said to be lost goes on
	LosesSilently,
	NeverAsks,	   // for storage
	WritesTooMuch,	   // to a program
	WritesAfterFree,   // to a page
	LeavesDisksHooked, // when it goes
	UsesClosedDevice,
	EndsReadTwice, // a read section of RCU
	LeavesDeviceOpen,
};
Fault fault();

struct Disk {
	shim_u64 key;
	shim_u64 rank;
	bool closed = false;
	std::deque<bio *> parked;
	shim_u64 in_flight = 0;
};

struct Record {
	shim_bio_saved saved;
	Disk *disk;
};

struct Member {
	shim_bdev *bdev = nullptr;
	shim_bdev_info info{};
	Disk *disk = nullptr;
	shim_image_disk *image = nullptr;
	std::vector<page *> pages;
	shim_u32 minor = 0, major = 0;
};

struct Range {
	shim_u64 key, sector, sectors;
	const void *owner;
};

struct Snapshot {
	unsigned char id[16];
	std::vector<std::unique_ptr<Member>> members;
	bool taken = false;
	bool asked = false; // the first event was delivered
	bool told = false;  // likewise a loss
};

struct Tracker {
	shim_u32 major, minor;
	unsigned char number = 0;
};

struct Core {
	shim_mutex mutex;
	shim_spinlock lock;
	shim_spinlock inner;
	shim_waitqueue moved;
	std::vector<std::unique_ptr<Disk>> disks;
	std::vector<std::unique_ptr<Snapshot>> snapshots;
	std::vector<Tracker> trackers;
	std::vector<Range> ranges;
	shim_work *work = nullptr; // of Fault::WorkEndsItself
	bool io_failed = false;
};
extern Core *core;

int take(Snapshot &snapshot);
void destroy(Snapshot &snapshot);
Disk *disk_of(shim_bdev *bdev, const shim_bdev_info &info);

} // namespace fake
