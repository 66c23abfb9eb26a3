//! Which objects a serialization has met.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rquickjs::Value;

use super::raw;

/// Where an object is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Among the objects that were written.
    Memory(u32),
    /// In the transfer list.
    Transfer(u32),
}

/// The memory of serialization: objects that were met, by identity.
#[derive(Default)]
pub(super) struct Memory<'js> {
    /// Held, so that no other object gets the identity of one that a getter made.
    objects: Vec<(Value<'js>, Place)>,
    /// Once there are many.
    places: HashMap<usize, Place, BuildHasherDefault<IdentityHasher>>,
    next: u32,
}

/// Up to how many objects are looked for one by one.
const FEW: usize = 8;

impl<'js> Memory<'js> {
    pub(super) fn find(&self, object: &Value<'js>) -> Option<Place> {
        let identity = raw::identity(object);
        if self.objects.len() > FEW {
            return self.places.get(&identity).copied();
        }
        let mut objects = self.objects.iter();
        let found = objects.find(|(known, _)| raw::identity(known) == identity);
        found.map(|(_, place)| *place)
    }

    /// Gives an object the next place.
    pub(super) fn add(&mut self, object: &Value<'js>) {
        let place = Place::Memory(self.next);
        self.next += 1;
        self.insert(object, place);
    }

    /// False if it has a place.
    pub(super) fn insert(&mut self, object: &Value<'js>, place: Place) -> bool {
        if self.find(object).is_some() {
            return false;
        }
        self.objects.push((object.clone(), place));
        if self.objects.len() == FEW + 1 {
            let objects = self.objects.iter();
            self.places = objects
                .map(|(known, place)| (raw::identity(known), *place))
                .collect();
        } else if self.objects.len() > FEW {
            self.places.insert(raw::identity(object), place);
        }
        true
    }
}

/// Addresses and counters are spread well enough by one multiplication.
#[derive(Default)]
pub(in crate::js) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize((*byte).into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_usize(number as usize);
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = (self.0 ^ number as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}
