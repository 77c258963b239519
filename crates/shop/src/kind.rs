//! The types of events: how often each occurs, and which fields it has.

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// A page was shown.
    PageView,
    /// Something on a page was clicked.
    Click,
    /// A page was scrolled.
    Scroll,
    /// A form was sent.
    FormSubmit,
    /// A product was put into the cart.
    AddToCart,
    /// The cart was paid.
    Purchase,
    /// Products were searched.
    Search,
    /// A user logged in.
    Login,
    /// A user logged out.
    Logout,
    /// A page was shared.
    Share,
    /// A comment was written.
    Comment,
    /// Something was liked.
    Like,
    /// A visitor arrived from a campaign.
    Landing,
    /// A product was looked at.
    ProductView,
    /// The cart was taken to the till.
    Checkout,
    /// An advertisement was shown elsewhere.
    Impression,
    /// An advertisement was clicked.
    AdClick,
    /// A campaign led to a sale.
    Conversion,
}

use EventType::*;

impl EventType {
    /// All types, in the order of their declaration.
    pub const ALL: [EventType; 18] = [
        PageView,
        Click,
        Scroll,
        FormSubmit,
        AddToCart,
        Purchase,
        Search,
        Login,
        Logout,
        Share,
        Comment,
        Like,
        Landing,
        ProductView,
        Checkout,
        Impression,
        AdClick,
        Conversion,
    ];

    /// Its name in the output.
    pub fn name(self) -> &'static str {
        match self {
            PageView => "page_view",
            Click => "click",
            Scroll => "scroll",
            FormSubmit => "form_submit",
            AddToCart => "add_to_cart",
            Purchase => "purchase",
            Search => "search",
            Login => "login",
            Logout => "logout",
            Share => "share",
            Comment => "comment",
            Like => "like",
            Landing => "landing",
            ProductView => "product_view",
            Checkout => "checkout",
            Impression => "impression",
            AdClick => "ad_click",
            Conversion => "conversion",
        }
    }

    /// How often it is drawn, beside the weights of the others.
    pub fn weight(self) -> f64 {
        match self {
            PageView => 50.0,
            Click => 30.0,
            Scroll => 20.0,
            FormSubmit => 10.0,
            AddToCart => 8.0,
            Purchase => 3.0,
            Search => 15.0,
            Login => 5.0,
            Logout => 4.0,
            Share => 6.0,
            Comment => 7.0,
            Like => 12.0,
            Landing => 14.0,
            ProductView => 12.0,
            Checkout => 5.0,
            Impression => 12.0,
            AdClick => 2.0,
            Conversion => 0.5,
        }
    }

    /// The part of the shop's server that it calls.
    pub fn endpoint(self) -> &'static str {
        match self {
            PageView | Landing => "/page",
            ProductView => "/product",
            Click | Scroll | Share | Comment | Like => "/track",
            FormSubmit => "/form",
            AddToCart => "/cart",
            Checkout | Purchase => "/checkout",
            Search => "/search",
            Login | Logout => "/session",
            Impression | AdClick | Conversion => "/ads",
        }
    }

    /// Median of its latency, ms.
    pub(crate) fn latency_median_ms(self) -> f64 {
        match self {
            Checkout | Purchase => 80.0,
            Search => 45.0,
            Login | FormSubmit | AddToCart => 30.0,
            _ => 20.0,
        }
    }

    /// Whether it belongs to a campaign's accounts rather than to a visit: no session, page or latency, but a cost.
    pub fn is_ad(self) -> bool {
        matches!(self, Impression | AdClick | Conversion)
    }

    pub(crate) fn has_product(self) -> bool {
        matches!(self, ProductView | AddToCart | Purchase)
    }

    pub(crate) fn has_campaign(self) -> bool {
        self.is_ad() || self == Landing
    }

    /// Whether its value is that of a cart.
    pub(crate) fn has_cart(self) -> bool {
        matches!(self, AddToCart | Checkout | Purchase | Conversion)
    }

    pub(crate) fn has_revenue(self) -> bool {
        matches!(self, Purchase | Conversion)
    }
}
