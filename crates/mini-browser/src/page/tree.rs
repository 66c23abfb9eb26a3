//! A small document tree, built by html5ever.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use html5ever::interface::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{Attribute, ExpandedName, ParseOpts, QualName, local_name, ns, parse_document};

/// A node.
pub(crate) struct Node {
    kind: Kind,
    parent: RefCell<Weak<Self>>,
    children: RefCell<Vec<Rc<Self>>>,
}

enum Kind {
    Document,
    Element {
        name: QualName,
        attributes: RefCell<Vec<Attribute>>,
        contents: Option<Rc<Node>>,
    },
    Text(RefCell<StrTendril>),
    /// A comment, a doctype or a processing instruction: kept in its place, and without content.
    Other,
}

/// Parses a document. HTML has no syntax errors: whatever comes in, a tree comes out.
#[must_use]
pub(crate) fn parse(html: &str) -> Rc<Node> {
    let builder = Builder {
        document: Node::new(Kind::Document),
        quirks: Cell::new(QuirksMode::NoQuirks),
        nameless: QualName::new(None, ns!(), local_name!("")),
    };
    parse_document(builder, ParseOpts::default()).one(html)
}

impl Node {
    fn new(kind: Kind) -> Rc<Self> {
        Rc::new(Self {
            kind,
            parent: RefCell::default(),
            children: RefCell::default(),
        })
    }

    /// The local name of an HTML element, in lower case.
    #[must_use]
    pub(crate) fn local_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Element { name, .. } => Some(&name.local),
            Kind::Document | Kind::Text(_) | Kind::Other => None,
        }
    }

    /// The value of an attribute.
    #[must_use]
    pub(crate) fn attribute(&self, wanted: &str) -> Option<String> {
        let Kind::Element { attributes, .. } = &self.kind else {
            return None;
        };
        let attributes = attributes.borrow();
        let found = attributes
            .iter()
            .find(|attribute| &*attribute.name.local == wanted)?;
        Some(found.value.to_string())
    }

    /// `textContent`: all text inside, in tree order.
    #[must_use]
    pub(crate) fn text_content(self: &Rc<Self>) -> String {
        self.descendants()
            .iter()
            .filter_map(|node| match &node.kind {
                Kind::Text(text) => Some(text.borrow().to_string()),
                Kind::Document | Kind::Element { .. } | Kind::Other => None,
            })
            .collect()
    }

    /// This node and all below it, in tree order.
    #[must_use]
    pub(crate) fn descendants(self: &Rc<Self>) -> Vec<Rc<Self>> {
        let mut found = Vec::new();
        let mut waiting = vec![Rc::clone(self)];
        while let Some(node) = waiting.pop() {
            waiting.extend(node.children.borrow().iter().rev().cloned());
            found.push(node);
        }
        found
    }

    fn detach(self: &Rc<Self>) {
        let parent = self.parent.replace(Weak::new()).upgrade();
        if let Some(parent) = parent {
            parent
                .children
                .borrow_mut()
                .retain(|child| !Rc::ptr_eq(child, self));
        }
    }

    fn insert(self: &Rc<Self>, at: usize, child: NodeOrText<Rc<Self>>) {
        let child = match child {
            NodeOrText::AppendNode(node) => {
                node.detach();
                node
            }
            NodeOrText::AppendText(text) => {
                let before = at.checked_sub(1);
                let sibling = before.and_then(|index| self.children.borrow().get(index).cloned());
                if let Some(Kind::Text(existing)) = sibling.as_deref().map(|node| &node.kind) {
                    existing.borrow_mut().push_tendril(&text);
                    return;
                }
                Self::new(Kind::Text(RefCell::new(text)))
            }
        };
        child.parent.replace(Rc::downgrade(self));
        let mut children = self.children.borrow_mut();
        let at = at.min(children.len());
        children.insert(at, child);
    }
}

/// A deep tree is taken apart without recursion.
impl Drop for Node {
    fn drop(&mut self) {
        let mut waiting = self.children.take();
        while let Some(node) = waiting.pop() {
            if let Ok(only) = Rc::try_unwrap(node).map(|node| node.children.take()) {
                waiting.extend(only);
            }
        }
    }
}

struct Builder {
    document: Rc<Node>,
    quirks: Cell<QuirksMode>,
    nameless: QualName,
}

impl TreeSink for Builder {
    type Handle = Rc<Node>;
    type Output = Rc<Node>;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Rc<Node> {
        self.document
    }

    fn parse_error(&self, error: Cow<'static, str>) {
        tracing::trace!(%error, "HTML");
    }

    fn get_document(&self) -> Rc<Node> {
        Rc::clone(&self.document)
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<Node>) -> ExpandedName<'a> {
        match &target.kind {
            Kind::Element { name, .. } => name.expanded(),
            // The parser asks only of elements.
            Kind::Document | Kind::Text(_) | Kind::Other => self.nameless.expanded(),
        }
    }

    fn create_element(
        &self,
        name: QualName,
        attributes: Vec<Attribute>,
        flags: ElementFlags,
    ) -> Rc<Node> {
        let contents = flags.template.then(|| Node::new(Kind::Document));
        Node::new(Kind::Element {
            name,
            attributes: RefCell::new(attributes),
            contents,
        })
    }

    fn create_comment(&self, _text: StrTendril) -> Rc<Node> {
        Node::new(Kind::Other)
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> Rc<Node> {
        Node::new(Kind::Other)
    }

    fn append(&self, parent: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        let end = parent.children.borrow().len();
        parent.insert(end, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Rc<Node>,
        previous: &Rc<Node>,
        child: NodeOrText<Rc<Node>>,
    ) {
        if element.parent.borrow().upgrade().is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {
        self.append(
            &self.document,
            NodeOrText::AppendNode(Node::new(Kind::Other)),
        );
    }

    fn get_template_contents(&self, target: &Rc<Node>) -> Rc<Node> {
        match &target.kind {
            Kind::Element {
                contents: Some(contents),
                ..
            } => Rc::clone(contents),
            _ => Rc::clone(target),
        }
    }

    fn same_node(&self, a: &Rc<Node>, b: &Rc<Node>) -> bool {
        Rc::ptr_eq(a, b)
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.quirks.set(mode);
    }

    fn append_before_sibling(&self, sibling: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        let parent = sibling.parent.borrow().upgrade();
        if let Some(parent) = parent {
            if let NodeOrText::AppendNode(node) = &child {
                node.detach();
            }
            let position = parent
                .children
                .borrow()
                .iter()
                .position(|child| Rc::ptr_eq(child, sibling));
            parent.insert(position.unwrap_or(usize::MAX), child);
        }
    }

    fn add_attrs_if_missing(&self, target: &Rc<Node>, attributes: Vec<Attribute>) {
        if let Kind::Element {
            attributes: existing,
            ..
        } = &target.kind
        {
            let mut existing = existing.borrow_mut();
            for attribute in attributes {
                if existing.iter().all(|known| known.name != attribute.name) {
                    existing.push(attribute);
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &Rc<Node>) {
        target.detach();
    }

    fn reparent_children(&self, node: &Rc<Node>, new_parent: &Rc<Node>) {
        for child in node.children.take() {
            child.parent.replace(Rc::downgrade(new_parent));
            new_parent.children.borrow_mut().push(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(html: &str) -> String {
        parse(html).text_content()
    }

    #[test]
    fn misnested_and_unfinished_markup_still_gives_its_text_in_order() {
        assert_eq!(texts("<p>a<b>b<p>c</b>d<table>e<tr><td>f"), "abcdef");
        assert_eq!(
            texts("<!doctype html><title>t</title><!-- no --><body>x&amp;y"),
            "tx&y"
        );
        assert_eq!(texts(""), "");
    }

    #[test]
    fn elements_have_names_and_attributes() {
        let tree = parse("<script SRC='/a.js' defer></script><script>1</script>");
        let scripts: Vec<_> = tree
            .descendants()
            .into_iter()
            .filter(|node| node.local_name() == Some("script"))
            .collect();
        assert_eq!(scripts.len(), 2);
        assert_eq!(scripts[0].attribute("src").as_deref(), Some("/a.js"));
        assert_eq!(scripts[0].attribute("async"), None);
        assert_eq!(scripts[1].text_content(), "1");
    }

    #[test]
    fn a_very_deep_tree_is_walked_and_dropped() {
        let root = Node::new(Kind::Document);
        let mut node = Rc::clone(&root);
        for _ in 0..100_000 {
            let child = Node::new(Kind::Other);
            node.insert(0, NodeOrText::AppendNode(Rc::clone(&child)));
            node = child;
        }
        assert_eq!(root.descendants().len(), 100_001);
    }
}
