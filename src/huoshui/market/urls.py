"""Addresses of the supermarket, under /market/."""

from django.urls import path

from huoshui.market.views import orders, products, shop

app_name = "market"
urlpatterns = [
    path("", shop.catalogue, name="catalogue"),
    path("products/<int:pk>/", shop.product, name="product"),
    path("products/<int:pk>/cart/", shop.put_into_cart, name="put_into_cart"),
    path("compare/", shop.compare, name="compare"),
    path("cart/", orders.cart, name="cart"),
    path("cart/see/", orders.cart_see, name="cart_see"),
    path("cart/<int:pk>/take/", orders.cart_take, name="cart_take"),
    path("checkout/", orders.checkout, name="checkout"),
    path("orders/", orders.order_list, name="orders"),
    path("orders/<int:pk>/", orders.order, name="order"),
    path("orders/<int:pk>/confirm/", orders.order_confirm, name="order_confirm"),
    path("orders/<int:pk>/refuse/", orders.order_refuse, name="order_refuse"),
    path("orders/<int:pk>/cancel/", orders.order_cancel, name="order_cancel"),
    path("orders/<int:pk>/extend/", orders.order_extend, name="order_extend"),
    path("orders/<int:pk>/recall/", orders.order_recall, name="order_recall"),
    path("orders/<int:pk>/comment/", orders.order_comment, name="order_comment"),
    path("my/", products.product_list, name="my_products"),
    path("my/new/", products.product_new, name="product_new"),
    path("my/upload/", products.product_upload, name="product_upload"),
    path("my/upload/<slug:kind>/", products.product_template, name="product_template"),
    path("my/<int:pk>/", products.product, name="my_product"),
    path("my/<int:pk>/change/", products.product_change, name="product_change"),
    path("my/<int:pk>/price/", products.product_price, name="product_price"),
    path("my/<int:pk>/return/", products.product_return, name="product_return"),
    path("my/<int:pk>/<slug:step>/", products.product_step, name="product_step"),
]
