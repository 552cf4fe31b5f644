//! Where the program begins and ends, and memory from the C library.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_int, c_void};

#[link(name = "c")]
unsafe extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
    fn abort() -> !;
}

/// What the C runtime calls. 0 where the core does what it should.
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    c_int::from(!crate::core_answers())
}

struct CLibrary;

// SAFETY: `aligned_alloc` gives a block of at least `size` bytes, aligned as asked, or null; `free` takes it back.
unsafe impl GlobalAlloc for CLibrary {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // C asks for an alignment of at least a pointer's, and for a size that is a multiple of it.
        let layout = match layout.align_to(size_of::<usize>()) {
            Ok(layout) => layout.pad_to_align(),
            Err(_) => return core::ptr::null_mut(),
        };
        // SAFETY: the alignment is a power of two, and the size a multiple of it.
        unsafe { aligned_alloc(layout.align(), layout.size()).cast() }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller hands back what `alloc` gave.
        unsafe { free(block.cast()) }
    }
}

#[global_allocator]
static ALLOCATOR: CLibrary = CLibrary;

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it has no conditions.
    unsafe { abort() }
}

/// The toolchain's own `alloc` is compiled to unwind, and names these two. Here nothing unwinds, so nobody calls them.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    // SAFETY: it has no conditions.
    unsafe { abort() }
}

/// See [`rust_eh_personality`].
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: it has no conditions.
    unsafe { abort() }
}
