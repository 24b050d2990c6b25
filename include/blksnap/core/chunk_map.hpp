// SPDX-License-Identifier: GPL-2.0
//
// Chunk map: which blocks of a device are preserved, and in which unit of the diff storage.
//
// A B+tree of extents, so that memory follows what changed and not the size of the device: an
// extent of up to 256 blocks costs 8 bytes in a leaf. Extents are only ever added. An insert
// takes nodes from `Spares` that were obtained before, so that it cannot fail under a spinlock.
//
// Shape of the tree, which the code relies on:
// - A node is 1 KiB. A leaf holds up to 126 extents that start less than 2^24 - 1 blocks behind its
//   first one; an inner node holds up to 63 children.
// - The key of a child is the first preserved block below it (that of child 0 is not used).
//   Hence an unpreserved range never crosses from one leaf into the next.
// - At most one inner node is split per insert, the topmost crowded one on the path, long before
//   it is full. So an insert needs at most three nodes however deep the tree has become since
//   the spares were obtained.
#pragma once

#include <blksnap/base/memory.hpp>

namespace blksnap
{

class ChunkMap
{
public:
	static constexpr u32 kNodeBytes = 1024;
	static constexpr u32 kMaxInsertBlocks = 256;
	static constexpr u32 kMaxDepth = 8;

	// Blocks of equal state. Two words, to come in registers.
	struct Run {
		static constexpr u64 kUnmapped = ~u64{0};

		u64 blocks;
		u64 place; // unit of the first block, which the others follow; or kUnmapped

		bool mapped() const { return place != kUnmapped; }
		u32 unit() const { return static_cast<u32>(place); }
	};

	// Free nodes of one inserter. Not locked: neither refilled nor used by two at once.
	class Spares
	{
	public:
		Spares() = default;
		Spares(Spares &&other);
		Spares(const Spares &) = delete;
		Spares &operator=(const Spares &) = delete;
		~Spares() { trim(0); }

		// Obtains what the next `inserts` calls of insert() into one map may need, whatever
		// others insert meanwhile. Nodes left over from before count. On failure what was
		// obtained is kept for the next try. Context: as `gfp` says.
		Result<void> refill(u32 inserts, Gfp gfp);
		// Frees what is more than `inserts` calls may need. Context: any.
		void trim(u32 inserts);
		u32 nodes() const { return count_; }

	private:
		friend class ChunkMap;
		struct Free {
			Free *next;
		};
		void *take();

		Free *first_ = nullptr;
		u32 count_ = 0;
	};

	// The most nodes that this many inserts into one map consume: a leaf and an inner node each,
	// and the root grows a few times only.
	static constexpr u32 worst_case_nodes(u32 inserts)
	{
		return 2 * inserts + min(inserts, kMaxDepth);
	}

	ChunkMap() = default;
	ChunkMap(const ChunkMap &) = delete;
	ChunkMap &operator=(const ChunkMap &) = delete;
	~ChunkMap() { clear(); }

	// The state of `block` and how many blocks from it on, at most `limit_blocks` (> 0), share
	// it. An unmapped run ends at the next mapped block or the limit, never before. A mapped one
	// may be followed by another that continues it. The largest u64 is no block. Context: any; the
	// caller holds the lock.
	Run lookup(u64 block, u64 limit_blocks) const;

	// Maps `blocks` (1 .. kMaxInsertBlocks) unmapped blocks to as many units. Never fails:
	// `spares` was refilled for it. Context: any; the caller holds the lock.
	void insert(u64 block, u32 blocks, u32 unit, Spares &spares);

	// Forgets everything. Context: any; takes time with the size.
	void clear();

	u64 mapped_blocks() const { return mapped_blocks_; }
	u64 memory_bytes() const { return u64{nodes_} * kNodeBytes; }
	u32 depth() const { return depth_; }

private:
	struct Leaf;
	struct Inner;
	struct Extent {
		u64 block;
		u32 blocks;
		u32 unit;
	};
	// Where a block belongs. `turn` is the lowest inner node whose child on the path has a child
	// to its right; null at the right edge of the tree.
	struct Spot {
		Leaf *leaf = nullptr;
		Inner *parent = nullptr;
		u32 index = 0;
		Inner *turn = nullptr;
		u32 turn_index = 0;
		u32 turn_level = 0;

		u64 bound() const;
		Leaf *right() const;
	};

	Spot find(u64 block) const;
	Run last_gap(u64 block, u64 limit_blocks) const;
	void *take_node(Spares &spares);
	Leaf *make_leaf(const Extent &extent, Spares &spares);
	void place(const Spot &spot, const Extent &extent, Spares &spares);
	void add_leaf(const Extent &extent, Spares &spares);
	void split_leaf(const Spot &spot, const Extent &extent, Spares &spares);
	void relieve_path(u64 block, Spares &spares);
	void split_inner(Inner *parent, u32 index, Inner &inner, Spares &spares);
	Inner *grow_root(Spares &spares);
	void free_last_node();

	void *root_ = nullptr;
	u32 depth_ = 0; // 0: empty, 1: the root is a leaf
	u32 nodes_ = 0;
	u64 mapped_blocks_ = 0;
};

} // namespace blksnap
