//! What html5ever builds, as a list of operations that the prelude carries out on its nodes.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use html5ever::interface::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, ExpandedName, LocalName, QualName, local_name, ns};
use rquickjs::{Array, Ctx, IntoJs, Result, Value};

/// The number of the document, or of the fragment that is parsed.
const ROOT: u32 = 0;

/// How deep elements nest; what would be deeper becomes a sibling, as in other browsers.
const DEPTH: u32 = 512;

/// A node of the prelude's, by number; the numbers of a parser are counted from 0.
pub(super) struct Handle {
    pub(super) id: u32,
    name: QualName,
    /// The number of a template's contents.
    contents: Option<u32>,
    is_integration_point: bool,
    /// How deep it was put, and below what.
    depth: Cell<u32>,
    parent: RefCell<Option<Rc<Self>>>,
}

impl Handle {
    fn new(id: u32, name: QualName, contents: Option<u32>) -> Self {
        Self {
            id,
            name,
            contents,
            is_integration_point: false,
            depth: Cell::new(0),
            parent: RefCell::default(),
        }
    }

    fn nameless(id: u32) -> Self {
        Self::new(id, QualName::new(None, ns!(), local_name!("")), None)
    }
}

/// A step of building a tree. Numbers name nodes.
#[derive(Debug)]
enum Operation {
    Element {
        id: u32,
        name: QualName,
        attributes: Vec<Attribute>,
        contents: Option<u32>,
    },
    Comment {
        id: u32,
        text: StrTendril,
    },
    Append {
        parent: u32,
        child: Child,
    },
    InsertBefore {
        sibling: u32,
        child: Child,
    },
    /// Before `element` if that has a parent by then, else at the end of `previous`.
    FosterParent {
        element: u32,
        previous: u32,
        child: Child,
    },
    Doctype {
        name: StrTendril,
        public_id: StrTendril,
        system_id: StrTendril,
    },
    AddAttributes {
        id: u32,
        attributes: Vec<Attribute>,
    },
    Remove(u32),
    Reparent {
        from: u32,
        to: u32,
    },
    Quirks(&'static str),
    AlreadyStarted(u32),
    Popped(u32),
    Form {
        element: u32,
        form: u32,
    },
}

#[derive(Debug)]
enum Child {
    Node(u32),
    Text(StrTendril),
}

impl Child {
    fn of(child: NodeOrText<Rc<Handle>>) -> Self {
        match child {
            NodeOrText::AppendNode(node) => Self::Node(node.id),
            NodeOrText::AppendText(text) => Self::Text(text),
        }
    }
}

/// Records operations until they are [taken](Self::take).
pub(super) struct Sink {
    document: Rc<Handle>,
    last: Cell<u32>,
    operations: RefCell<Vec<Operation>>,
}

impl Sink {
    pub(super) fn new() -> Self {
        Self {
            document: Rc::new(Handle::nameless(ROOT)),
            last: Cell::new(ROOT),
            operations: RefCell::default(),
        }
    }

    /// A node that the prelude has: the context of a fragment, or its form. It gets the next number.
    pub(super) fn existing(&self, namespace: &str, local_name: &str) -> Rc<Handle> {
        let name = QualName::new(None, namespace.into(), LocalName::from(local_name));
        let contents =
            (name.expanded() == html5ever::expanded_name!(html "template")).then(|| self.next_id());
        Rc::new(Handle::new(self.next_id(), name, contents))
    }

    /// What is to be done since the last time, as arrays of a name and its arguments.
    pub(super) fn take<'js>(&self, ctx: &Ctx<'js>) -> Result<Array<'js>> {
        let list = Array::new(ctx.clone())?;
        let operations = self.operations.take();
        for (index, operation) in operations.into_iter().enumerate() {
            list.set(index, to_js(ctx, operation)?)?;
        }
        Ok(list)
    }

    fn next_id(&self) -> u32 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    fn push(&self, operation: Operation) {
        self.operations.borrow_mut().push(operation);
    }
}

/// Appends text to that of the last operation, if that is in the same place.
fn coalesces(operations: &mut [Operation], to: u32, more: &StrTendril) -> bool {
    match operations.last_mut() {
        Some(Operation::Append {
            parent,
            child: Child::Text(text),
        }) if *parent == to => {
            text.push_tendril(more);
            true
        }
        _ => false,
    }
}

impl TreeSink for Sink {
    type Handle = Rc<Handle>;
    type Output = ();
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) {}

    fn parse_error(&self, error: Cow<'static, str>) {
        tracing::trace!(%error, "HTML");
    }

    fn get_document(&self) -> Rc<Handle> {
        Rc::clone(&self.document)
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<Handle>) -> ExpandedName<'a> {
        target.name.expanded()
    }

    fn create_element(
        &self,
        name: QualName,
        attributes: Vec<Attribute>,
        flags: ElementFlags,
    ) -> Rc<Handle> {
        let id = self.next_id();
        let contents = flags.template.then(|| self.next_id());
        self.push(Operation::Element {
            id,
            name: name.clone(),
            attributes,
            contents,
        });
        Rc::new(Handle {
            is_integration_point: flags.mathml_annotation_xml_integration_point,
            ..Handle::new(id, name, contents)
        })
    }

    fn create_comment(&self, text: StrTendril) -> Rc<Handle> {
        let id = self.next_id();
        self.push(Operation::Comment { id, text });
        Rc::new(Handle::nameless(id))
    }

    fn create_pi(&self, _: StrTendril, data: StrTendril) -> Rc<Handle> {
        // HTML has none: what looks like one is a comment.
        self.create_comment(data)
    }

    fn append(&self, parent: &Rc<Handle>, child: NodeOrText<Rc<Handle>>) {
        let above = parent.parent.borrow().clone();
        let parent = match &above {
            Some(above) if parent.depth.get() >= DEPTH => above,
            _ => parent,
        };
        if let NodeOrText::AppendNode(child) = &child {
            child.depth.set(parent.depth.get() + 1);
            child.parent.replace(Some(Rc::clone(parent)));
        }
        if let NodeOrText::AppendText(text) = &child
            && coalesces(&mut self.operations.borrow_mut(), parent.id, text)
        {
            return;
        }
        let (parent, child) = (parent.id, Child::of(child));
        self.push(Operation::Append { parent, child });
    }

    fn append_based_on_parent_node(
        &self,
        element: &Rc<Handle>,
        previous: &Rc<Handle>,
        child: NodeOrText<Rc<Handle>>,
    ) {
        self.push(Operation::FosterParent {
            element: element.id,
            previous: previous.id,
            child: Child::of(child),
        });
    }

    fn append_doctype_to_document(
        &self,
        name: StrTendril,
        public_id: StrTendril,
        system_id: StrTendril,
    ) {
        self.push(Operation::Doctype {
            name,
            public_id,
            system_id,
        });
    }

    fn mark_script_already_started(&self, node: &Rc<Handle>) {
        self.push(Operation::AlreadyStarted(node.id));
    }

    fn pop(&self, node: &Rc<Handle>) {
        // Those that HTML does something to.
        if matches!(
            &*node.name.local,
            "style" | "object" | "audio" | "video" | "textarea" | "select"
        ) {
            self.push(Operation::Popped(node.id));
        }
    }

    fn get_template_contents(&self, target: &Rc<Handle>) -> Rc<Handle> {
        match target.contents {
            Some(id) => Rc::new(Handle::nameless(id)),
            None => Rc::clone(target),
        }
    }

    fn same_node(&self, a: &Rc<Handle>, b: &Rc<Handle>) -> bool {
        a.id == b.id
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.push(Operation::Quirks(match mode {
            QuirksMode::Quirks => "quirks",
            QuirksMode::LimitedQuirks => "limited-quirks",
            QuirksMode::NoQuirks => "no-quirks",
        }));
    }

    fn append_before_sibling(&self, sibling: &Rc<Handle>, child: NodeOrText<Rc<Handle>>) {
        let (sibling, child) = (sibling.id, Child::of(child));
        self.push(Operation::InsertBefore { sibling, child });
    }

    fn add_attrs_if_missing(&self, target: &Rc<Handle>, attributes: Vec<Attribute>) {
        let id = target.id;
        self.push(Operation::AddAttributes { id, attributes });
    }

    fn associate_with_form(
        &self,
        target: &Rc<Handle>,
        form: &Rc<Handle>,
        _nodes: (&Rc<Handle>, Option<&Rc<Handle>>),
    ) {
        let (element, form) = (target.id, form.id);
        self.push(Operation::Form { element, form });
    }

    fn remove_from_parent(&self, target: &Rc<Handle>) {
        self.push(Operation::Remove(target.id));
    }

    fn reparent_children(&self, node: &Rc<Handle>, new_parent: &Rc<Handle>) {
        let (from, to) = (node.id, new_parent.id);
        self.push(Operation::Reparent { from, to });
    }

    fn is_mathml_annotation_xml_integration_point(&self, handle: &Rc<Handle>) -> bool {
        handle.is_integration_point
    }
}

fn to_js<'js>(ctx: &Ctx<'js>, operation: Operation) -> Result<Array<'js>> {
    match operation {
        Operation::Element {
            id,
            name,
            attributes,
            contents,
        } => {
            let prefix = name.prefix.as_deref().map(str::to_owned);
            let (namespace, local) = (namespace(&name), &*name.local);
            let attributes = attributes_to_js(ctx, &attributes)?;
            let of_element = (
                "element", id, namespace, prefix, local, attributes, contents,
            );
            list(ctx, of_element)
        }
        Operation::Comment { id, text } => list(ctx, ("comment", id, &*text)),
        Operation::Append { parent, child } => match child {
            Child::Node(child) => list(ctx, ("append", parent, child)),
            Child::Text(text) => list(ctx, ("appendText", parent, &*text)),
        },
        Operation::InsertBefore { sibling, child } => match child {
            Child::Node(child) => list(ctx, ("insertBefore", sibling, child)),
            Child::Text(text) => list(ctx, ("insertTextBefore", sibling, &*text)),
        },
        Operation::FosterParent {
            element,
            previous,
            child,
        } => match child {
            Child::Node(child) => list(ctx, ("fosterParent", element, previous, child)),
            Child::Text(text) => list(ctx, ("fosterParentText", element, previous, &*text)),
        },
        Operation::Doctype {
            name,
            public_id,
            system_id,
        } => list(ctx, ("doctype", &*name, &*public_id, &*system_id)),
        Operation::AddAttributes { id, attributes } => {
            let attributes = attributes_to_js(ctx, &attributes)?;
            list(ctx, ("addAttributes", id, attributes))
        }
        Operation::Remove(id) => list(ctx, ("remove", id)),
        Operation::Reparent { from, to } => list(ctx, ("reparent", from, to)),
        Operation::Quirks(mode) => list(ctx, ("quirks", mode)),
        Operation::AlreadyStarted(id) => list(ctx, ("alreadyStarted", id)),
        Operation::Popped(id) => list(ctx, ("popped", id)),
        Operation::Form { element, form } => list(ctx, ("form", element, form)),
    }
}

/// Attributes in one array: namespace, prefix, local name and value of each.
fn attributes_to_js<'js>(ctx: &Ctx<'js>, attributes: &[Attribute]) -> Result<Array<'js>> {
    let list = Array::new(ctx.clone())?;
    for (index, attribute) in attributes.iter().enumerate() {
        let name = &attribute.name;
        let at = index * 4;
        list.set(at, namespace(name))?;
        list.set(at + 1, name.prefix.as_deref().map(str::to_owned))?;
        list.set(at + 2, &*name.local)?;
        list.set(at + 3, &*attribute.value)?;
    }
    Ok(list)
}

fn namespace(name: &QualName) -> Option<&str> {
    (!name.ns.is_empty()).then_some(&*name.ns)
}

fn list<'js>(ctx: &Ctx<'js>, items: impl Items<'js>) -> Result<Array<'js>> {
    let list = Array::new(ctx.clone())?;
    items.put(ctx, &list)?;
    Ok(list)
}

/// A tuple that becomes an array.
trait Items<'js> {
    fn put(self, ctx: &Ctx<'js>, list: &Array<'js>) -> Result<()>;
}

macro_rules! items {
    ($($name:ident $index:literal),+) => {
        impl<'js, $($name: IntoJs<'js>),+> Items<'js> for ($($name,)+) {
            fn put(self, ctx: &Ctx<'js>, list: &Array<'js>) -> Result<()> {
                #[expect(non_snake_case, reason = "named as their types")]
                let ($($name,)+) = self;
                $(list.set::<Value<'js>>($index, $name.into_js(ctx)?)?;)+
                Ok(())
            }
        }
    };
}
items!(A 0, B 1);
items!(A 0, B 1, C 2);
items!(A 0, B 1, C 2, D 3);
items!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
