//! Bytes of the heap, counted while somebody asks: what `demo` says of memory is measured, not computed.
//!
//! An allocator of the program's own, because the crates that do this either count always or keep a record of every
//! call; here it is one relaxed load until [`Heap::start`]. Counted are the bytes asked for by the thread that started it,
//! whatever others do meanwhile, without what the allocator below adds to each block.
#![allow(unsafe_code, reason = "a global allocator cannot be written without; it is all in this file")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static CURRENT: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// Whether this is the thread that is counted. Neither made nor dropped with work, so the allocator may ask at any time.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// A stretch of a thread whose heap is counted; it stays there. There is one at a time; counting ends when it is dropped.
#[derive(Debug)]
pub struct Heap(PhantomData<*const ()>);

impl Heap {
    /// Counts from zero. What was allocated before and is freed now counts below zero.
    ///
    /// # Panics
    /// When another one is counting.
    pub fn start() -> Heap {
        CURRENT.store(0, Relaxed);
        PEAK.store(0, Relaxed);
        assert!(!ON.swap(true, Relaxed), "the heap is counted once at a time");
        COUNTED.set(true);
        Heap(PhantomData)
    }

    /// Bytes allocated and not freed since the start.
    pub fn current(&self) -> i64 {
        CURRENT.load(Relaxed)
    }

    /// The most that was allocated at once since the start.
    pub fn peak(&self) -> i64 {
        PEAK.load(Relaxed)
    }

    /// What `work` leaves on the heap.
    pub fn left_by(&self, work: impl FnOnce()) -> i64 {
        let before = self.current();
        work();
        self.current() - before
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        COUNTED.set(false);
        ON.store(false, Relaxed);
    }
}

/// The allocator of the system, counted.
struct Counting;

// SAFETY: every call is handed on to `System` with the arguments it came with and its result is given back unchanged, so
// the contract of `GlobalAlloc` holds because it holds for `System`. Counting touches three atomics and a thread-local flag that
// is made at compile time and has no destructor, so it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of more than no bytes, which is all that `System` asks.
        counted(unsafe { System.alloc(layout) }, layout.size() as i64)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        counted(unsafe { System.alloc_zeroed(layout) }, layout.size() as i64)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller promises that `block` came from this allocator with this layout; so it came from `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for `dealloc`; the caller promises a new size that is not 0 and fits the alignment.
        counted(unsafe { System.realloc(block, layout, size) }, size as i64 - layout.size() as i64)
    }
}

/// Counts what a call gave; nothing when it failed.
#[inline]
fn counted(block: *mut u8, bytes: i64) -> *mut u8 {
    if !block.is_null() {
        count(bytes);
    }
    block
}

#[inline]
fn count(bytes: i64) {
    if ON.load(Relaxed) && COUNTED.get() {
        let current = CURRENT.fetch_add(bytes, Relaxed) + bytes;
        PEAK.fetch_max(current, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: there is one count in the whole program. The test itself needs some bytes; the blocks are tens of MiB and every
    // figure is taken within four of them.
    #[test]
    fn large_blocks_are_counted_while_it_is_on() {
        const MIB: i64 = 1 << 20;
        let near = |bytes: i64, mib: i64| (bytes - mib * MIB).abs() < 4 * MIB;
        let heap = Heap::start();
        let mut block: Vec<u8> = Vec::with_capacity(64 << 20);
        assert!(near(heap.current(), 64));
        block.reserve_exact(80 << 20);
        assert!(near(heap.current(), 80), "{}", heap.current());
        assert!(near(heap.left_by(|| drop(block)), -80));
        assert!(near(heap.left_by(|| drop(vec![0u8; 16 << 20])), 0));
        assert!(near(heap.current(), 0) && near(heap.peak(), 80), "{}", heap.peak());
        let other = std::thread::spawn(|| Vec::<u8>::with_capacity(64 << 20)).join();
        assert!(near(heap.current(), 0) && other.is_ok(), "another thread is not counted");
        drop(heap);
        let unseen: Vec<u8> = Vec::with_capacity(64 << 20);
        assert!(near(CURRENT.load(Relaxed), 0), "{}", unseen.capacity());
    }
}
