//! What a link has to write: frames are encoded here and handed out as bytes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::wire::{self, Frame};

/// A payload at least this long is handed out by itself instead of being copied.
const SHARE_FROM: usize = 8 * 1024;
/// Small frames are collected into writes of about this size.
const BATCH: usize = 64 * 1024;

/// Bytes that wait to be written, small frames collected, long payloads shared.
#[derive(Default)]
pub(super) struct Out {
    batches: VecDeque<Bytes>,
    tail: BytesMut,
    /// Bytes in `batches` and `tail`, and bytes handed out that were not reported as written.
    waiting: usize,
    handed_out: usize,
}

impl Out {
    pub(super) fn preface(&mut self) {
        let before = self.tail.len();
        wire::encode_preface(&mut self.tail);
        self.waiting += self.tail.len() - before;
    }

    pub(super) fn frame(&mut self, frame: &Frame) {
        let before = self.tail.len();
        wire::encode(frame, &mut self.tail);
        self.waiting += self.tail.len() - before;
        if let Frame::Message(.., payload) | Frame::Chunk(_, payload) = frame {
            self.waiting += payload.len();
            if payload.len() < SHARE_FROM {
                self.tail.extend_from_slice(payload);
            } else {
                self.flush_tail();
                self.batches.push_back(payload.clone());
            }
        }
        if self.tail.len() >= BATCH {
            self.flush_tail();
        }
    }

    /// Whether all was handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether data may be added: control frames always may.
    pub(super) fn has_room(&self, link_buffer: usize) -> bool {
        self.waiting + self.handed_out < link_buffer
    }

    /// How many bytes were not written yet, as far as known.
    pub(super) fn unwritten(&self) -> usize {
        self.waiting + self.handed_out
    }

    pub(super) fn written(&mut self, count: usize) {
        self.handed_out = self.handed_out.saturating_sub(count);
    }

    pub(super) fn take(&mut self) -> Option<Bytes> {
        if self.batches.is_empty() {
            self.flush_tail();
        }
        let bytes = self.batches.pop_front()?;
        self.waiting -= bytes.len();
        self.handed_out += bytes.len();
        Some(bytes)
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.batches.push_back(self.tail.split().freeze());
        }
    }
}
