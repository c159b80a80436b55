"""Addresses of the exchange, under /exchange/."""

from django.urls import path

from huoshui.exchange.views import auctions, enquiries, listings

app_name = "exchange"
urlpatterns = [
    path("", listings.board, name="board"),
    path("rules/", listings.rules, name="rules"),
    path("mine/", listings.mine, name="mine"),
    path("listings/sell/", listings.sell, name="sell"),
    path("listings/seek/", listings.seek, name="seek"),
    path("listings/balance/", listings.sell_balance, name="sell_balance"),
    path("listings/resell/<int:pk>/", listings.resell, name="resell"),
    path("listings/<int:pk>/", listings.listing_page, name="listing"),
    path("listings/<int:pk>/withdraw/", listings.listing_withdraw, name="listing_withdraw"),
    path("auctions/", auctions.auction_list, name="auctions"),
    path("auctions/new/", auctions.auction_new, name="auction_new"),
    path("auctions/<int:number>/", auctions.auction_page, name="auction"),
    path("auctions/<int:number>/clear/", auctions.auction_clear, name="auction_clear"),
    path("auctions/<int:number>/publish/", auctions.auction_publish, name="auction_publish"),
    path("auctions/<int:number>/cancel/", auctions.auction_cancel, name="auction_cancel"),
    path("auctions/<int:number>/verify/", auctions.auction_verify, name="auction_verify"),
    path("orders/<int:pk>/withdraw/", auctions.order_withdraw, name="order_withdraw"),
    path("orders/<int:pk>/proof/", auctions.order_proof, name="order_proof"),
    path("enquiries/", enquiries.enquiry_list, name="enquiries"),
    path("enquiries/new/", enquiries.enquiry_new, name="enquiry_new"),
    path("enquiries/<int:pk>/", enquiries.enquiry_page, name="enquiry"),
    path("enquiries/<int:pk>/award/", enquiries.enquiry_award, name="enquiry_award"),
    path("enquiries/<int:pk>/end/", enquiries.enquiry_end, name="enquiry_end"),
    path("offers/<int:pk>/withdraw/", enquiries.offer_withdraw, name="offer_withdraw"),
    path("trades/", listings.trade_list, name="trades"),
    path("trades/<int:pk>/", listings.trade_page, name="trade"),
    path("trades/<int:pk>/recall/", listings.trade_recall, name="trade_recall"),
    path("aside/<int:pk>/recall/", listings.aside_recall, name="aside_recall"),
    path("monitor/", listings.monitor, name="monitor"),
    path("public/<int:number>/", auctions.public_auction, name="public_auction"),
    path("public/verifier/", auctions.public_verifier, name="public_verifier"),
    path("public/<int:number>/document/", auctions.public_document, name="public_document"),
]
