//! The memory limit of an agent: an allocator that counts, and kills the agent at its limit.
//!
//! QuickJS's own limit throws an error that a script can catch and carry on from; a worker that
//! reached its limit is to die instead, and its host to hear of it.
#![expect(
    unsafe_code,
    reason = "rquickjs takes an allocator only as an unsafe trait"
)]

use std::sync::Arc;

use rquickjs::allocator::{Allocator, RustAllocator};

use super::agent::{Death, Kill};

/// What a runtime may take over its limit while its script is being interrupted, in bytes.
/// Past that, allocations fail.
const SLACK: usize = 1 << 20;

/// Counts the bytes of one runtime.
pub(super) struct Quota {
    used: usize,
    limit: usize,
    kill: Arc<Kill>,
}

impl Quota {
    /// Kills through `kill` when more than `limit` bytes are in use.
    pub(super) const fn new(limit: usize, kill: Arc<Kill>) -> Self {
        Self {
            used: 0,
            limit,
            kill,
        }
    }

    /// Whether `more` bytes may be taken.
    fn admits(&self, more: usize) -> bool {
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            self.kill.kill(Death::OutOfMemory { limit: self.limit });
        }
        wanted <= self.limit.saturating_add(SLACK)
    }
}

// SAFETY: every block comes from, goes back to and is measured by `RustAllocator`, which upholds
// the trait's contract; this type only counts, and refuses with a null pointer as the contract
// allows. `RustAllocator` cannot take a null pointer in `realloc` or a product that overflows in
// `calloc`, and its `realloc` does not check the size: those are handled before it is asked.
unsafe impl Allocator for Quota {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        if size > isize::MAX as usize / 2 || !self.admits(size) {
            return std::ptr::null_mut();
        }
        let block = RustAllocator.alloc(size);
        if !block.is_null() {
            // SAFETY: `block` was just allocated by `RustAllocator`.
            self.used += unsafe { RustAllocator::usable_size(block) };
        }
        block
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        let Some(total) = count.checked_mul(size) else {
            return std::ptr::null_mut();
        };
        if total > isize::MAX as usize / 2 || !self.admits(total) {
            return std::ptr::null_mut();
        }
        let block = RustAllocator.calloc(count, size);
        if !block.is_null() {
            // SAFETY: `block` was just allocated by `RustAllocator`.
            self.used += unsafe { RustAllocator::usable_size(block) };
        }
        block
    }

    unsafe fn dealloc(&mut self, block: *mut u8) {
        if block.is_null() {
            return;
        }
        // SAFETY: the caller vouches that `block` came from this allocator, so from `RustAllocator`.
        unsafe {
            self.used -= RustAllocator::usable_size(block);
            RustAllocator.dealloc(block);
        }
    }

    unsafe fn realloc(&mut self, block: *mut u8, new_size: usize) -> *mut u8 {
        if block.is_null() {
            return self.alloc(new_size);
        }
        // SAFETY: the caller vouches that `block` came from this allocator, so from `RustAllocator`.
        unsafe {
            let old = RustAllocator::usable_size(block);
            let more = new_size.saturating_sub(old);
            if new_size > isize::MAX as usize / 2 || (more > 0 && !self.admits(more)) {
                return std::ptr::null_mut();
            }
            let block = RustAllocator.realloc(block, new_size);
            if !block.is_null() {
                self.used = self.used - old + RustAllocator::usable_size(block);
            }
            block
        }
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        if block.is_null() {
            return 0;
        }
        // SAFETY: the caller vouches that `block` came from this allocator, so from `RustAllocator`.
        unsafe { RustAllocator::usable_size(block) }
    }
}
