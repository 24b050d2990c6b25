// SPDX-License-Identifier: GPL-2.0
//
// Chunk map: the B+tree behind the index of preserved blocks.
//
// Leaves are kept full without extra nodes: what is written in order is appended to a new leaf
// instead of splitting, and a full leaf first evens out with its right neighbour. Nodes are never
// removed, so no merging exists.
//
// What lies behind the last entry of a node sorts behind every block, so that searches need not look at
// the count: their steps are always the same, and laid out in a row when they are compiled.
#include <blksnap/core/chunk_map.hpp>

namespace blksnap
{

namespace
{

// One less than a place could tell apart: kNoPlace sorts behind every block of the span.
constexpr u64 kLeafSpan = (u64{1} << 24) - 1;
constexpr u32 kLeafEntries = 126;
constexpr u32 kInnerChildren = 63;
// A crowded inner node is split by the next insert that needs a leaf below it, unless that insert
// splits one above. There are less than kMaxDepth of those, each only once: it never gets full.
constexpr u32 kInnerCrowded = kInnerChildren - ChunkMap::kMaxDepth;
// A neighbour with less room than this is not worth the move.
constexpr u32 kLeafWorthEvening = 16;

constexpr u32 kNoPlace = ~u32{0};
constexpr u64 kNoKey = ~u64{0};

// The last of `size` elements that `before` holds for; those come first. The first one if there is none.
template <u32 size, class T, class F>
[[gnu::always_inline]] inline const T *last_before(const T *first, F &&before)
{
	if constexpr (size == 1) {
		return first;
	} else {
		constexpr u32 half = size / 2;
		// Nobody can predict which: no branch, which compilers make of it unless the choice is
		// between two values that they know nothing of.
		const T *middle = first + half;
		__asm__("" : "+r"(middle));
		first = before(*middle) ? middle : first;
		return last_before<size - half>(first, before);
	}
}

} // namespace

struct ChunkMap::Leaf {
	// `place` sorts by start: blocks from base << 8 | length - 1.
	struct Entry {
		u32 place;
		u32 unit;
	};

	u64 base; // start of entry 0
	u32 count;
	u32 unused;
	Entry entries[kLeafEntries];

	u64 start(u32 i) const { return base + (entries[i].place >> 8); }
	u32 length(u32 i) const { return (entries[i].place & 0xff) + 1; }
	u64 end(u32 i) const { return start(i) + length(i); }
	bool full() const { return count == kLeafEntries; }

	bool in_span(u64 block) const;
	bool accepts(u64 block) const { return !full() && in_span(block); }
	u32 last_until(u64 block) const;
	u32 position(u64 block) const;
	bool continues(u32 i, u64 block, u32 unit) const;
	Run run(u32 i, u64 block, u64 limit_blocks) const;
	Run long_run(u32 i, u64 block, u64 limit_blocks) const;

	void empty(u32 first, u32 end);
	void rebase(u64 base);
	void add(const Extent &extent);
	void remove(u32 i);
	void move_tail(u32 keep, Leaf &right);
	bool even_out(Leaf &right);
	void extend_previous(u32 i, Extent &extent);
	void extend_next(u32 i, Extent &extent);
	void absorb(Extent &extent);
};

struct ChunkMap::Inner {
	u32 count;
	u32 unused[3];
	u64 keys[kInnerChildren];
	void *children[kInnerChildren];

	const u64 *key_of(u64 block) const;
	u32 child_of(u64 block) const { return static_cast<u32>(key_of(block) - keys); }
	void empty(u32 first, u32 end);
	void link(u32 i, u64 key, void *child);
};

// May an extent that starts here be an entry of this leaf?
bool ChunkMap::Leaf::in_span(u64 block) const
{
	if (block >= base)
		return block - base < kLeafSpan;
	return start(count - 1) - block < kLeafSpan;
}

// The last entry that starts at or before `block`, which is not less than the base.
inline u32 ChunkMap::Leaf::last_until(u64 block) const
{
	if (block - base >= kLeafSpan)
		return count - 1;
	const u32 target = static_cast<u32>(block - base) << 8 | 0xff;
	const Entry *last = last_before<kLeafEntries>(
		entries, [=](const Entry &entry) { return entry.place <= target; });
	return static_cast<u32>(last - entries);
}

// How many entries start at or before `block`.
u32 ChunkMap::Leaf::position(u64 block) const
{
	return block < base ? 0 : last_until(block) + 1;
}

// Does entry `i` end where a run at (block, unit) begins?
bool ChunkMap::Leaf::continues(u32 i, u64 block, u32 unit) const
{
	return end(i) == block && entries[i].unit + length(i) == unit;
}

// The run from `block`, which lies in entry `i`, over all entries of this leaf that continue it.
inline ChunkMap::Run ChunkMap::Leaf::run(u32 i, u64 block, u64 limit_blocks) const
{
	const u32 skipped = static_cast<u32>(block - start(i));
	if (length(i) - skipped < limit_blocks) [[unlikely]]
		return long_run(i, block, limit_blocks);
	return {limit_blocks, entries[i].unit + skipped};
}

// Called last, and not made a part of lookup(), which is faster when it calls nothing else.
[[gnu::noinline]] ChunkMap::Run ChunkMap::Leaf::long_run(u32 i, u64 block, u64 limit_blocks) const
{
	const u32 skipped = static_cast<u32>(block - start(i));
	Run run{length(i) - skipped, entries[i].unit + skipped};

	while (run.blocks < limit_blocks && i + 1 < count &&
	       continues(i, start(i + 1), entries[i + 1].unit)) {
		i++;
		run.blocks += length(i);
	}
	run.blocks = min(run.blocks, limit_blocks);
	return run;
}

void ChunkMap::Leaf::empty(u32 first, u32 end)
{
	for (u32 i = first; i < end; i++)
		entries[i].place = kNoPlace;
}

// Moves the base to where entry 0 will begin or begins; starts stay where they are.
void ChunkMap::Leaf::rebase(u64 new_base)
{
	// Wraps on purpose: deltas shrink when the base grows.
	const u32 shift = static_cast<u32>(base - new_base) << 8;
	for (u32 i = 0; i < count; i++)
		entries[i].place += shift;
	base = new_base;
}

void ChunkMap::Leaf::add(const Extent &extent)
{
	ASSERT(accepts(extent.block));
	const u32 i = position(extent.block);
	if (extent.block < base)
		rebase(extent.block);
	__builtin_memmove(&entries[i + 1], &entries[i], (count - i) * sizeof(Entry));
	count++;
	entries[i].place = static_cast<u32>(extent.block - base) << 8 | (extent.blocks - 1);
	entries[i].unit = extent.unit;
}

// Never entry 0: the base would change.
void ChunkMap::Leaf::remove(u32 i)
{
	ASSERT(i > 0 && i < count);
	count--;
	__builtin_memmove(&entries[i], &entries[i + 1], (count - i) * sizeof(Entry));
	empty(count, count + 1);
}

// Puts the entries behind the first `keep` in front of those of `right`.
void ChunkMap::Leaf::move_tail(u32 keep, Leaf &right)
{
	const u32 moved = count - keep;
	ASSERT(keep > 0 && moved > 0 && moved + right.count <= kLeafEntries);
	if (right.count == 0)
		right.base = start(keep);
	else
		right.rebase(start(keep));
	__builtin_memmove(&right.entries[moved], &right.entries[0], right.count * sizeof(Entry));
	const u32 down = (entries[keep].place >> 8) << 8;
	for (u32 i = 0; i < moved; i++)
		right.entries[i] = {entries[keep + i].place - down, entries[keep + i].unit};
	right.count += moved;
	empty(keep, count);
	count = keep;
}

// Gives a full leaf room at the expense of its right neighbour. false: not possible.
bool ChunkMap::Leaf::even_out(Leaf &right)
{
	if (right.count + kLeafWorthEvening > kLeafEntries)
		return false;
	const u32 keep = (count + right.count + 1) / 2;
	if (right.start(right.count - 1) - start(keep) >= kLeafSpan)
		return false;
	move_tail(keep, right);
	return true;
}

// Entry `i` takes as much of the beginning of `extent` as it can hold.
void ChunkMap::Leaf::extend_previous(u32 i, Extent &extent)
{
	const u32 taken = min(extent.blocks, kMaxInsertBlocks - length(i));
	entries[i].place += taken;
	extent.block += taken;
	extent.unit += taken;
	extent.blocks -= taken;
}

// Entry `i` takes all of `extent`, which ends where it begins. It is not entry 0.
void ChunkMap::Leaf::extend_next(u32 i, Extent &extent)
{
	entries[i].place -= extent.blocks << 8;
	entries[i].place += extent.blocks;
	entries[i].unit = extent.unit;
	extent.blocks = 0;
}

// Merges what is possible of `extent` into its neighbours; what is left needs an entry.
void ChunkMap::Leaf::absorb(Extent &extent)
{
	const u32 next = position(extent.block);
	if (next == 0)
		return;
	if (continues(next - 1, extent.block, extent.unit))
		extend_previous(next - 1, extent);
	if (next == count)
		return;
	if (extent.blocks == 0) {
		const u32 joined = length(next - 1) + length(next);
		if (joined > kMaxInsertBlocks ||
		    !continues(next - 1, start(next), entries[next].unit))
			return;
		entries[next - 1].place += length(next);
		remove(next);
		return;
	}
	if (extent.block + extent.blocks == start(next) &&
	    extent.unit + extent.blocks == entries[next].unit &&
	    extent.blocks + length(next) <= kMaxInsertBlocks)
		extend_next(next, extent);
}

// The key of the last child whose key is not above `block`, which is less than kNoKey; that of child 0 if
// there is none.
inline const u64 *ChunkMap::Inner::key_of(u64 block) const
{
	return last_before<kInnerChildren>(keys, [=](u64 key) { return key <= block; });
}

void ChunkMap::Inner::empty(u32 first, u32 end)
{
	for (u32 i = first; i < end; i++)
		keys[i] = kNoKey;
}

void ChunkMap::Inner::link(u32 i, u64 key, void *child)
{
	ASSERT(count < kInnerChildren && i > 0 && i <= count);
	__builtin_memmove(&keys[i + 1], &keys[i], (count - i) * sizeof(keys[0]));
	__builtin_memmove(&children[i + 1], &children[i], (count - i) * sizeof(children[0]));
	count++;
	keys[i] = key;
	children[i] = child;
}

// --- spares ------------------------------------------------------------------------------------

ChunkMap::Spares::Spares(Spares &&other)
	: first_(std::exchange(other.first_, nullptr)), count_(std::exchange(other.count_, 0))
{
}

Result<void> ChunkMap::Spares::refill(u32 inserts, Gfp gfp)
{
	while (count_ < worst_case_nodes(inserts)) {
		void *node = shim_memory_alloc(kNodeBytes, static_cast<unsigned>(gfp));
		if (!node)
			return Errno::NoMem;
		first_ = new (node) Free{first_};
		count_++;
	}
	return {};
}

void ChunkMap::Spares::trim(u32 inserts)
{
	while (count_ > worst_case_nodes(inserts))
		shim_memory_free(take());
}

void *ChunkMap::Spares::take()
{
	ASSERT(first_);
	Free *node = std::exchange(first_, first_->next);
	count_--;
	return node;
}

// --- the tree ----------------------------------------------------------------------------------

// The first mapped block right of the leaf. Block 2^64 - 1 is never mapped.
u64 ChunkMap::Spot::bound() const
{
	return turn ? turn->keys[turn_index + 1] : ~u64{0};
}

ChunkMap::Leaf *ChunkMap::Spot::right() const
{
	if (!turn)
		return nullptr;
	void *node = turn->children[turn_index + 1];
	for (u32 level = turn_level; level > 2; level--)
		node = static_cast<Inner *>(node)->children[0];
	return static_cast<Leaf *>(node);
}

ChunkMap::Spot ChunkMap::find(u64 block) const
{
	Spot spot;
	void *node = root_;
	for (u32 level = depth_; level > 1; level--) {
		auto *inner = static_cast<Inner *>(node);
		spot.parent = inner;
		spot.index = inner->child_of(block);
		node = inner->children[spot.index];
		if (spot.index + 1 < inner->count) {
			spot.turn = inner;
			spot.turn_index = spot.index;
			spot.turn_level = level;
		}
	}
	spot.leaf = static_cast<Leaf *>(node);
	return spot;
}

ChunkMap::Run ChunkMap::lookup(u64 block, u64 limit_blocks) const
{
	ASSERT(limit_blocks > 0 && block < kNoKey);
	if (!root_)
		return {limit_blocks, Run::kUnmapped};
	const void *node = root_;
	for (u32 level = depth_; level > 1; level--) {
		const auto &inner = *static_cast<const Inner *>(node);
		node = inner.children[inner.key_of(block) - inner.keys];
	}
	const auto &leaf = *static_cast<const Leaf *>(node);
	if (block < leaf.base)
		return {min(limit_blocks, leaf.base - block), Run::kUnmapped};
	const u32 i = leaf.last_until(block);
	if (block < leaf.end(i))
		return leaf.run(i, block, limit_blocks);
	if (i + 1 < leaf.count)
		return {min(limit_blocks, leaf.start(i + 1) - block), Run::kUnmapped};
	return last_gap(block, limit_blocks);
}

// Behind the last entry of a leaf. As long_run().
[[gnu::noinline]] ChunkMap::Run ChunkMap::last_gap(u64 block, u64 limit_blocks) const
{
	return {min(limit_blocks, find(block).bound() - block), Run::kUnmapped};
}

void ChunkMap::insert(u64 block, u32 blocks, u32 unit, Spares &spares)
{
	ASSERT(blocks > 0 && blocks <= kMaxInsertBlocks);
	ASSERT(block + blocks > block && unit + (blocks - 1) >= unit);
	Extent extent{block, blocks, unit};
	mapped_blocks_ += blocks;
	if (!root_) {
		root_ = make_leaf(extent, spares);
		depth_ = 1;
		return;
	}
	const Spot spot = find(block);
	const Leaf &leaf = *spot.leaf;
	const u32 next = leaf.position(block);
	ASSERT(next == 0 || leaf.end(next - 1) <= block);
	ASSERT(block + blocks <= (next < leaf.count ? leaf.start(next) : spot.bound()));
	spot.leaf->absorb(extent);
	if (extent.blocks > 0)
		place(spot, extent, spares);
}

// Finds room for a new entry, in the order of what it costs.
void ChunkMap::place(const Spot &spot, const Extent &extent, Spares &spares)
{
	Leaf &leaf = *spot.leaf;
	if (leaf.accepts(extent.block))
		return leaf.add(extent);
	Leaf *right = spot.right();
	if (right && extent.block > leaf.start(leaf.count - 1) && right->accepts(extent.block)) {
		right->add(extent);
		spot.turn->keys[spot.turn_index + 1] = right->base;
		return;
	}
	if (right && leaf.full() && leaf.in_span(extent.block) && leaf.even_out(*right)) {
		spot.turn->keys[spot.turn_index + 1] = right->base;
		return extent.block < right->base ? leaf.add(extent) : right->add(extent);
	}
	add_leaf(extent, spares);
}

void ChunkMap::add_leaf(const Extent &extent, Spares &spares)
{
	relieve_path(extent.block, spares);
	if (depth_ == 1)
		grow_root(spares);
	const Spot spot = find(extent.block);
	ASSERT(spot.parent);
	Leaf &leaf = *spot.leaf;
	const bool behind = extent.block > leaf.start(leaf.count - 1);
	if (!leaf.in_span(extent.block) && !behind) {
		// Left of everything: the old leftmost leaf becomes child 1.
		spot.parent->link(1, leaf.base, &leaf);
		spot.parent->children[0] = make_leaf(extent, spares);
		return;
	}
	if (!leaf.in_span(extent.block) || (behind && !spot.turn)) {
		// Right of everything: leaves that are written in order stay full.
		spot.parent->link(spot.index + 1, extent.block, make_leaf(extent, spares));
		return;
	}
	split_leaf(spot, extent, spares);
}

void ChunkMap::split_leaf(const Spot &spot, const Extent &extent, Spares &spares)
{
	ASSERT(spot.parent);
	Leaf &leaf = *spot.leaf;
	auto *right = static_cast<Leaf *>(take_node(spares));
	right->count = 0;
	right->empty(0, kLeafEntries);
	leaf.move_tail(leaf.count / 2, *right);
	spot.parent->link(spot.index + 1, right->base, right);
	if (extent.block < right->base)
		return leaf.add(extent);
	right->add(extent);
}

// Splits the topmost crowded inner node on the way to `block`, if there is one.
void ChunkMap::relieve_path(u64 block, Spares &spares)
{
	Inner *parent = nullptr;
	u32 index = 0;
	void *node = root_;
	for (u32 level = depth_; level > 1; level--) {
		auto *inner = static_cast<Inner *>(node);
		if (inner->count >= kInnerCrowded)
			return split_inner(parent, index, *inner, spares);
		parent = inner;
		index = inner->child_of(block);
		node = inner->children[index];
	}
}

void ChunkMap::split_inner(Inner *parent, u32 index, Inner &inner, Spares &spares)
{
	if (!parent)
		parent = grow_root(spares);
	auto *right = static_cast<Inner *>(take_node(spares));
	const u32 keep = inner.count / 2;
	right->count = inner.count - keep;
	__builtin_memcpy(right->keys, &inner.keys[keep], right->count * sizeof(u64));
	__builtin_memcpy(right->children, &inner.children[keep], right->count * sizeof(void *));
	right->empty(right->count, kInnerChildren);
	inner.empty(keep, inner.count);
	inner.count = keep;
	parent->link(index + 1, right->keys[0], right);
}

ChunkMap::Inner *ChunkMap::grow_root(Spares &spares)
{
	ASSERT(depth_ < kMaxDepth);
	auto *root = static_cast<Inner *>(take_node(spares));
	root->count = 1;
	root->keys[0] = 0;
	root->children[0] = root_;
	root->empty(1, kInnerChildren);
	root_ = root;
	depth_++;
	return root;
}

void *ChunkMap::take_node(Spares &spares)
{
	static_assert(sizeof(Leaf) == kNodeBytes && sizeof(Inner) == kNodeBytes);
	nodes_++;
	return spares.take();
}

ChunkMap::Leaf *ChunkMap::make_leaf(const Extent &extent, Spares &spares)
{
	auto *leaf = static_cast<Leaf *>(take_node(spares));
	leaf->base = extent.block;
	leaf->count = 1;
	leaf->entries[0] = {extent.blocks - 1, extent.unit};
	leaf->empty(1, kLeafEntries);
	return leaf;
}

void ChunkMap::clear()
{
	while (root_)
		free_last_node();
	ASSERT(nodes_ == 0);
	depth_ = 0;
	mapped_blocks_ = 0;
}

// Frees the rightmost node that has no children (left).
void ChunkMap::free_last_node()
{
	Inner *parent = nullptr;
	void *node = root_;
	for (u32 level = depth_; level > 1; level--) {
		auto *inner = static_cast<Inner *>(node);
		if (inner->count == 0)
			break;
		parent = inner;
		node = inner->children[inner->count - 1];
	}
	shim_memory_free(node);
	nodes_--;
	if (parent)
		parent->count--;
	else
		root_ = nullptr;
}

} // namespace blksnap
